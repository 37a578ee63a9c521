"""Wall thickness by hand on rings, and the segments of phantoms against their formula, however they lie."""

from __future__ import annotations

import numpy as np
import pytest

from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.readout.axis import base_is_first
from autolv.readout.masks import Masks, masks_of
from autolv.readout.orientation import orient
from autolv.readout.segments import NAMES, closed_slices, levels_of, segment_of, segment_walls, segments
from autolv.readout.wall import RAYS, map_thickness, slice_thickness
from autolv.schema.readout import Orientation

SIDEWAYS = Orientation(
    base_first=True, septum_degrees=180.0, anterior_insertion_degrees=240.0, inferior_insertion_degrees=120.0, turn=1,
    turn_rule="by hand",
)  # fmt: skip


def ring(inner: float, outer: float, pixel_mm: tuple[float, float], centre=(0.3, -0.4), size=120.0) -> tuple:
    """Return cavity and wall (y, x) of circles of these radii in mm about a centre that is no pixel's."""
    y = np.arange(-size / 2, size / 2, pixel_mm[0])[:, None] - centre[0]
    x = np.arange(-size / 2, size / 2, pixel_mm[1])[None, :] - centre[1]
    radius = np.hypot(y, x)
    return radius < inner, (radius >= inner) & (radius < outer)


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (1.8, 1.8), (1.0, 2.0)])
@pytest.mark.parametrize(("inner", "outer"), [(25.0, 33.0), (10.0, 24.0), (20.0, 24.0)])
def test_a_rings_thickness_is_met_at_less_than_a_pixel(inner, outer, pixel_mm) -> None:
    thickness = slice_thickness(*ring(inner, outer, pixel_mm), pixel_mm)
    assert thickness.shape == (RAYS,)
    assert np.mean(thickness) == pytest.approx(outer - inner, abs=0.15)
    assert np.abs(thickness - (outer - inner)).max() < max(pixel_mm)


def test_contours_of_probabilities_are_followed_between_pixels() -> None:
    y, x = np.mgrid[-40:41, -40:41].astype(float)
    radius = np.hypot(y, x)
    inner, outer = np.clip(0.5 + (20.25 - radius) / 4, 0, 1), np.clip(0.5 + (29.65 - radius) / 4, 0, 1)
    np.testing.assert_allclose(map_thickness(inner, outer, (1.0, 1.0)), 9.4, atol=0.05)


def test_thickness_is_undefined_where_there_is_no_cavity_or_no_wall() -> None:
    cavity, wall = ring(20.0, 28.0, (1.5, 1.5))
    assert np.isnan(slice_thickness(np.zeros_like(cavity), wall, (1.5, 1.5))).all()
    assert np.isnan(slice_thickness(cavity, np.zeros_like(wall), (1.5, 1.5))).all()
    beside = np.zeros((41, 41))
    beside[5:36, 5:36] = 1.0
    beside[15:26, 15:26] = 0.0  # a ring of cavity, whose centre lies in none
    assert np.isnan(map_thickness(beside, np.ones((41, 41)), (1.0, 1.0))).all()
    with pytest.raises(ValueError, match="one shape"):
        map_thickness(np.ones((9, 9)), np.ones((9, 8)), (1.0, 1.0))


def test_sectors_follow_from_anterior_over_septum_and_inferior_to_lateral() -> None:
    middles = [90, 30, -30, -90, -150, 150]
    assert segment_of("base", middles).tolist() == [1, 2, 3, 4, 5, 6]
    assert segment_of("mid", middles).tolist() == [7, 8, 9, 10, 11, 12]
    assert segment_of("apex", [90, 0, -90, 180]).tolist() == [13, 14, 15, 16]
    assert segment_of("base", [119.9, 60.1, 59.9, 420.0 - 0.1]).tolist() == [1, 1, 2, 2]
    counts = np.bincount(segment_of("apex", np.arange(360) + 0.5))
    assert counts[13:].tolist() == [90, 90, 90, 90]


@pytest.mark.parametrize(
    ("count", "levels"), [(3, "b m a"), (6, "b b m m a a"), (7, "b b m m m a a"), (8, "b b b m m a a a")]
)
def test_thirds_of_the_slices_alike_from_both_ends(count, levels) -> None:
    names = {"b": "base", "m": "mid", "a": "apex"}
    wanted = [names[letter] for letter in levels.split()]
    slices = list(range(4, 4 + count))
    assert list(levels_of(slices, base_first=True).values()) == wanted
    flipped = levels_of(slices, base_first=False)
    assert [flipped[z] for z in reversed(slices)] == wanted


def a_stack(walls: list[np.ndarray], cavity: np.ndarray) -> Masks:
    return Masks(cavity=np.stack([cavity] * len(walls)), wall=np.stack(walls), rv=None)


def test_a_thick_septum_is_found_in_its_segments_and_an_open_ring_in_none() -> None:
    pixel = (1.0, 1.0)
    cavity, thin = ring(20.0, 26.0, pixel)
    _, thick = ring(20.0, 32.0, pixel)
    x = np.arange(-60.0, 60.0)[None, :] + np.zeros((120, 1))
    y = np.arange(-60.0, 60.0)[:, None] + np.zeros((1, 120))
    angle = np.degrees(np.arctan2(y - 0.3, x + 0.4))
    septal = np.where(np.abs((angle - 180 + 180) % 360 - 180) <= 60, thick, thin)
    opened = septal & (angle < 150)
    masks = a_stack([opened, septal, septal, septal], cavity)
    assert closed_slices(masks, pixel) == [1, 2, 3]
    walls = segment_walls(masks, SIDEWAYS, pixel)
    assert sorted(walls) == list(range(1, 17))
    for number, (mean, upper) in walls.items():
        if number in (2, 3, 8, 9, 14):
            assert mean == pytest.approx(12.0, abs=0.6), number
        elif number in (13, 15):  # 15 of their 90 degrees are septum
            assert mean == pytest.approx(7.0, abs=0.6), number
        else:
            assert mean == pytest.approx(6.0, abs=0.5), number
        assert upper >= mean


def test_no_wall_no_segments() -> None:
    cavity, _ = ring(20.0, 26.0, (1.0, 1.0))
    assert segment_walls(Masks(cavity=cavity[None], wall=None, rv=None), SIDEWAYS, (1.0, 1.0)) == {}


def test_the_table_of_segments_has_thickening_and_reasons() -> None:
    table = segments({1: (8.0, 9.0), 2: (8.0, 8.5)}, {1: (12.0, 13.0)})
    assert [segment.number for segment in table] == list(NAMES)
    assert table[0].name == "basal anterior"
    assert table[0].thickening_percent.value == pytest.approx(50.0)
    assert (table[0].ed_max_mm.value, table[0].es_max_mm.value) == (9.0, 13.0)
    assert table[1].es_mm.reason == "no slice with muscle all around at this level"
    assert table[1].thickening_percent.reason == table[1].es_mm.reason
    assert table[16].ed_mm.reason == "the apex cannot be measured in the short axis"
    assert segments("no insertions", "no insertions")[4].ed_mm.reason == "no insertions"


def phantom_errors(seed: int, spec: PhantomSpec) -> np.ndarray:
    """Return measured less true thickness of segments 1 to 16 at both phases."""
    phantom = make_phantom(seed, spec, frames="ends")
    truth = phantom.truth
    diastolic, systolic = (masks_of(labels, truth.structures) for labels in phantom.labels)
    found = orient(diastolic, phantom.geometry, base_first=bool(base_is_first(diastolic)))
    assert found is not None
    rows = []
    for masks, true in ((diastolic, truth.wall_ed_mm), (systolic, truth.wall_es_mm)):
        walls = segment_walls(masks, found[0], truth.spacing_mm[1:])
        rows.append([walls[number][0] - true[str(number)] for number in range(1, 17)])
    return np.array(rows)


def straight(group: str, degrees: float, *, mirrored: bool) -> PhantomSpec:
    return PhantomSpec(
        group=group, rv_degrees=degrees, mirrored=mirrored, shape=(14, 176, 176), tilt_degrees=0.0, ellipticity=1.0
    )


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", range(0, 360, 60))
def test_segments_of_a_rotated_and_mirrored_heart_are_within_half_a_millimetre(degrees, mirrored) -> None:
    group = ("NOR", "MINF", "DCM", "RV")[degrees // 60 % 4]
    assert np.abs(phantom_errors(8, straight(group, degrees, mirrored=mirrored))).max() <= 0.5


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_septum_of_twenty_millimetres_is_found_where_it_is(mirrored) -> None:
    errors = phantom_errors(2, straight("HCM", 140.0, mirrored=mirrored))
    assert np.abs(errors).max() <= 0.8  # the thickness changes by a millimetre in 8 degrees there
    assert np.abs(errors).mean() <= 0.3

"""Where the ventricle ends at the base, and what of the cavity is muscle: by hand, and against phantoms' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.readout.axis import base_is_first
from autolv.readout.base import Plane, plane_of, plane_of_points, ring_rule, ring_share, to_plane
from autolv.readout.masks import Masks, masks_of
from autolv.readout.papillary import papillary_mask
from autolv.readout.volumes import ejection_fraction_percent, volume_ml

SPACING = (10.0, 1.0, 1.0)


def discs(radii: list[float], wall: float = 6.0, size: int = 64) -> Masks:
    """Return concentric cavities of these radii in mm, one a slice (0: none), with a wall about each."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(y, x)
    cavity = np.stack([radius < r for r in radii])
    outer = np.stack([radius < (r + wall if r else 0) for r in radii])
    return Masks(cavity=cavity, wall=outer & ~cavity, rv=None)


def test_the_base_is_the_wide_end_whatever_the_order_of_slices() -> None:
    tapering = discs([20, 19, 16, 11, 5])
    assert base_is_first(tapering) is True
    assert base_is_first(discs([0, 5, 11, 16, 19, 20, 0])) is False
    assert base_is_first(discs([20, 10])) is None  # two slices have no direction
    assert base_is_first(discs([15, 15, 15, 15])) is None
    # of a straight tube, the end where the right ventricle is
    rv = np.zeros((4, 64, 64), bool)
    rv[2:, 10:50, 52:64] = True
    tube = discs([15, 15, 15, 15])
    assert base_is_first(Masks(cavity=tube.cavity, wall=tube.wall, rv=rv)) is False


def test_a_whole_ring_a_half_one_and_none() -> None:
    ring = discs([15.0])
    cavity, wall = ring.cavity[0], ring.wall[0]
    assert ring_share(cavity, wall, (1.0, 1.0)) == 1.0
    half = wall.copy()
    half[:, 32:] = False
    assert ring_share(cavity, half, (1.0, 1.0)) == pytest.approx(0.5, abs=0.02)
    assert ring_share(cavity, np.zeros_like(wall), (1.0, 1.0)) == 0.0
    assert math.isnan(ring_share(np.zeros_like(cavity), wall, (1.0, 1.0)))
    assert math.isnan(ring_share(cavity, None, (1.0, 1.0)))
    # pixels of 2 x 1 mm stretch the picture, not the share
    assert ring_share(cavity[::2], half[::2], (2.0, 1.0)) == pytest.approx(0.5, abs=0.02)


def test_ring50_leaves_slices_out_from_the_base_until_the_first_with_half_a_ring() -> None:
    masks = discs([0, 20, 20, 18, 15, 8])
    ring = np.array([np.nan, 0.2, 0.4, 0.5, 0.3, 1.0])  # the open slice further down is no matter of the base
    assert ring_rule(masks, ring, base_first=True).tolist() == [True, False, False, True, True, True]
    flipped = Masks(cavity=masks.cavity[::-1], wall=None, rv=None)
    assert ring_rule(flipped, ring[::-1], base_first=False).tolist() == [True, True, True, False, False, True]


def test_the_plane_of_two_points_holds_both_and_is_as_level_as_it_can_be() -> None:
    plane = plane_of_points((10.0, 0.0, 0.0), (13.0, 0.0, 4.0))
    # along (3, 0, 4)/5; the normal nearest to the stack's axis is (4, 0, -3)/5
    assert plane.normal == pytest.approx((0.8, 0.0, -0.6))
    assert plane.point_mm == (11.5, 0.0, 2.0)
    with pytest.raises(ValueError, match="same"):
        plane_of_points((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="length"):
        plane_of((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@pytest.mark.parametrize("base_first", [True, False])
@pytest.mark.parametrize("height_mm", [-8.0, -3.0, 0.0, 2.0, 5.0, 9.0])
def test_a_tube_ends_at_the_plane_and_reaches_up_to_it(height_mm, base_first) -> None:
    tube = discs([15, 15, 15, 15])
    area = int(tube.cavity[0].sum())
    # slice centres at 0, 10, 20, 30: the tube reaches from -5 to 35 mm
    at = height_mm if base_first else 30.0 - height_mm
    before = tube.cavity.copy()
    masks, shares = to_plane(tube, plane_of((at, 0.0, 0.0), (1.0, 0.0, 0.0)), SPACING, base_first=base_first)
    assert (masks.cavity * shares).sum() * 10.0 == pytest.approx(area * (35.0 - height_mm))
    assert (masks.wall * shares).sum() * 10.0 == pytest.approx(int(tube.wall[0].sum()) * (35.0 - height_mm))
    np.testing.assert_array_equal(tube.cavity, before)


def test_a_tilted_plane_through_the_middle_leaves_the_volume_of_a_level_one() -> None:
    tube = discs([15, 15, 15, 15])
    middle = 31.5  # the discs' centre
    masks, shares = to_plane(tube, plane_of((2.0, middle, middle), (1.0, 0.2, 0.0)), SPACING, base_first=True)
    assert (masks.cavity * shares).sum() * 10.0 == pytest.approx(int(tube.cavity[0].sum()) * 33.0, rel=1e-3)


def test_planes_that_say_nothing_are_refused() -> None:
    tube = discs([15, 15, 15])
    with pytest.raises(ValueError, match="steeper than 45"):
        to_plane(tube, plane_of((0.0, 0.0, 0.0), (1.0, 2.0, 0.0)), SPACING, base_first=True)
    with pytest.raises(ValueError, match="more than one slice above"):
        to_plane(tube, plane_of((-16.0, 0.0, 0.0), (1.0, 0.0, 0.0)), SPACING, base_first=True)
    with pytest.raises(ValueError, match="no left ventricle"):
        to_plane(discs([0, 0, 0]), plane_of((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), SPACING, base_first=True)


def test_thirty_phantoms_ejection_fractions_as_segmented_and_at_the_valve_plane(thirty_phantoms) -> None:
    segmented, clipped = [], []
    for known in thirty_phantoms:
        truth = known.phantom.truth
        voxel_ml = math.prod(truth.spacing_mm) / 1000
        whole, cut = [], []
        for labels, plane in zip(known.phantom.labels, known.planes, strict=True):
            masks = masks_of(labels, truth.structures)
            base_first = base_is_first(masks)
            assert base_first is not truth.mirrored
            whole.append(volume_ml(masks.cavity, truth.spacing_mm))
            ended, shares = to_plane(masks, plane, truth.spacing_mm, base_first=base_first)
            cut.append(float((ended.cavity * shares).sum()) * voxel_ml)
        segmented.append(ejection_fraction_percent(*whole) - truth.ef_percent)
        clipped.append(ejection_fraction_percent(*cut) - truth.ef_percent)
    assert abs(np.mean(segmented)) <= 1.0
    assert np.abs(clipped).max() <= 0.5
    # the plane at the base is a larger error of the ejection fraction than all contours
    assert np.std(segmented) > 5 * np.std(clipped)


def test_dark_voxels_within_the_cavity_are_found_and_those_at_its_rim_left() -> None:
    masks = discs([15.0])
    image = np.where(masks.cavity, 100.0, 30.0)
    true = np.zeros_like(masks.cavity)
    true[0, 25:30, 24:30] = True  # a papillary muscle of 30 voxels
    image[true] = 30.0
    edge = masks.cavity[0] & ~np.roll(masks.cavity[0], 1, axis=1)
    image[0][edge] = 60.0  # half muscle by partial volume
    found = papillary_mask(image, masks.cavity, masks.wall)
    np.testing.assert_array_equal(found, true)


def test_no_papillary_muscles_where_blood_is_not_brighter_or_the_wall_too_small() -> None:
    masks = discs([15.0])
    noise = np.random.default_rng(0).normal(50.0, 5.0, masks.cavity.shape)
    assert not papillary_mask(noise, masks.cavity, masks.wall).any()
    bright = np.where(masks.cavity, 100.0, 30.0)
    bright[0, 30, 30] = 30.0
    assert papillary_mask(bright, masks.cavity, masks.wall).sum() == 1
    assert not papillary_mask(bright, masks.cavity, np.zeros_like(masks.wall)).any()
    with pytest.raises(ValueError, match="must be"):
        papillary_mask(bright[0], masks.cavity, masks.wall)


def papillary_ratio(known, phase: int) -> float:
    phantom = known.phantom
    masks = masks_of(phantom.labels[phase], phantom.truth.structures)
    found = papillary_mask(phantom.image[phase], masks.cavity, masks.wall)
    return volume_ml(found, phantom.truth.spacing_mm) / known.papillary_ml[phase]


def test_phantoms_papillary_volume_is_the_difference_between_the_two_conventions(thirty_phantoms) -> None:
    ratios = np.array([[papillary_ratio(known, phase) for phase in (0, 1)] for known in thirty_phantoms])
    np.testing.assert_allclose(ratios.mean(axis=0), 1.0, atol=0.10)
    assert ratios.std() < 0.12  # thick slices: how many of them the muscles' ends reach is a matter of chance


@pytest.mark.parametrize("seed", [2, 3, 22])  # those that lie furthest off with thick slices
def test_with_thin_slices_each_papillary_volume_is_right(make_known, seed) -> None:
    from autolv.datasets.phantom import PhantomSpec

    spec = PhantomSpec(
        group=("NOR", "DCM", "HCM", "MINF", "RV")[seed % 5], trabeculae=False, shape=(36, 128, 128),
        spacing_mm=(3.0, 1.4, 1.4), thickness_mm=3.0,
    )  # fmt: skip
    known = make_known(seed, spec)
    assert papillary_ratio(known, 0) == pytest.approx(1.0, abs=0.10)
    assert papillary_ratio(known, 1) == pytest.approx(1.0, abs=0.10)


def test_a_plane_is_a_value() -> None:
    assert plane_of((1.0, 2.0, 3.0), (2.0, 0.0, 0.0)) == Plane(point_mm=(1.0, 2.0, 3.0), normal=(1.0, 0.0, 0.0))

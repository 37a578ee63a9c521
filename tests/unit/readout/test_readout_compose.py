"""The whole read-out: by hand on discs, against phantoms' truth, and against ACDC's independently computed volumes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from autolv.core.geometry import Geometry
from autolv.core.labels import STRUCTURES
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.imageio.volumes import read_labels
from autolv.readout.base import plane_of
from autolv.readout.compose import Facts, Rules, read_out
from autolv.readout.dictionary import DICTIONARY
from autolv.schema.readout import Readout

FACTS = Facts(case="a", patient="p")
SPACING = (10.0, 1.0, 2.0)
SHAPE = (5, 64, 32)


def boxes(side_px: int, *, slices: tuple[int, ...] = (0, 1, 2, 3), rv: bool = True) -> np.ndarray:
    """Return labels: cavities of ``side`` x 4 pixels with a wall of 4 x 2 pixels about them, an RV in the first two slices."""
    labels = np.zeros(SHAPE, np.uint8)
    for z in slices:
        if rv and z < 2:
            labels[z, 20:44, 2:8] = 3
        labels[z, 28 - side_px // 2 : 36 + side_px // 2, 10:22] = 2
        labels[z, 32 - side_px // 2 : 32 + side_px // 2, 14:18] = 1
    return labels


def values(readout: Readout) -> dict[str, float | None]:
    return {name: quantity.value for name, quantity in readout.quantities.items()}


GEOMETRY = Geometry.from_spacing(SPACING, SHAPE)


def test_two_frames_by_hand() -> None:
    """Voxels hold 0.02 ml. ED: 4 slices x 16 x 4 voxels = 5.12 ml, ES half; the RV has 2 x 24 x 6 voxels = 5.76 ml."""
    frames = {3: boxes(8), 1: boxes(16)}
    before = {number: labels.copy() for number, labels in frames.items()}
    facts = Facts(case="a", patient="p", group="NOR", height_cm=180.0, weight_kg=80.0, rr_ms=1000.0)
    readout = read_out(frames, STRUCTURES, GEOMETRY, facts, sources=("a_1.nii", "a_3.nii"))
    found = values(readout)
    assert (readout.ed_frame, readout.es_frame) == (1, 3)
    assert (
        readout.method.phases_rule
        == "end-diastole: largest cavity of 2 frames; end-systole: smallest cavity of 2 frames"
    )
    assert found["lv_edv_ml"] == pytest.approx(5.12) and found["lv_esv_ml"] == pytest.approx(2.56)
    assert found["lv_sv_ml"] == pytest.approx(2.56) and found["lv_ef_percent"] == pytest.approx(50.0)
    assert found["lv_co_l_per_min"] == pytest.approx(0.1536)  # 60 beats of 2.56 ml
    wall_ed, wall_es = 24 * 12 - 16 * 4, 16 * 12 - 8 * 4  # voxels a slice
    assert found["lv_ed_mass_g"] == pytest.approx(1.05 * 4 * wall_ed * 0.02)
    assert found["lv_mass_difference_percent"] == pytest.approx(100 * (wall_es - wall_ed) / wall_ed)
    assert found["rv_edv_ml"] == found["rv_esv_ml"] == pytest.approx(5.76) and found["rv_ef_percent"] == 0.0
    assert found["body_surface_m2"] == pytest.approx(2.0)  # root of 180 x 80 / 3600
    assert found["lv_edv_index_ml_per_m2"] == pytest.approx(2.56)
    assert readout.curve is None and readout.curve_reason == "only single frames were read, not the whole cycle"
    assert readout.quantities["lv_peak_filling_ml_per_s"].reason == readout.curve_reason
    areas = [one for one in readout.slices if one.phase == "ED"]
    assert [one.index for one in areas] == [0, 1, 2, 3] and [one.from_base for one in areas] == [0, 1, 2, 3]
    assert areas[0].lv_cavity_mm2 == areas[0].counted_mm2 == 128.0 and areas[0].counted_percent == 100.0
    assert sum(one.counted_mm2 for one in areas) * 10 / 1000 == pytest.approx(5.12)
    for number, labels in frames.items():
        np.testing.assert_array_equal(labels, before[number])


def test_every_quantity_is_in_the_dictionary_with_its_unit() -> None:
    cycle = {n + 1: boxes(12 + (n < 4) * 4) for n in range(8)}
    readouts = [
        read_out({1: boxes(16)}, STRUCTURES, GEOMETRY, FACTS),
        read_out(cycle, STRUCTURES, GEOMETRY, FACTS, whole_cycle=True, frame_time_ms=100.0),
    ]
    for readout in readouts:
        for name, quantity in readout.quantities.items():
            assert DICTIONARY[name].unit == quantity.unit, name
    assert set(DICTIONARY) == set(readouts[0].quantities) | set(readouts[1].quantities)


def test_one_frame_of_no_known_phase_has_a_volume_and_no_phases() -> None:
    readout = read_out({1: boxes(16)}, STRUCTURES, GEOMETRY, FACTS)
    assert readout.ed_frame is None and readout.es_frame is None and readout.slices == ()
    assert readout.quantities["lv_volume_ml"].value == pytest.approx(5.12)
    assert readout.quantities["lv_edv_ml"].reason == "end-diastole is not known"
    known = read_out({1: boxes(16)}, STRUCTURES, GEOMETRY, FACTS, ed_frame=1)
    assert known.quantities["lv_edv_ml"].value == pytest.approx(5.12)
    assert known.quantities["lv_ef_percent"].reason == "end-systole is not known"
    assert "lv_volume_ml" not in known.quantities


def test_what_is_not_known_is_blank_with_its_reason() -> None:
    empty = read_out({1: boxes(16), 2: np.zeros(SHAPE, np.uint8)}, STRUCTURES, GEOMETRY, FACTS, ed_frame=1, es_frame=2)
    assert empty.quantities["lv_esv_ml"].reason == "no left ventricle is labelled"
    assert empty.quantities["lv_co_l_per_min"].reason == "no left ventricle is labelled"
    assert empty.quantities["body_surface_m2"].reason == "height and weight are not known"
    alone = read_out({1: (boxes(16, rv=False) == 1).astype(np.uint8)}, ("lv_cavity",), GEOMETRY, FACTS, ed_frame=1)
    assert alone.quantities["lv_ed_mass_g"].reason == "the muscle is not segmented"
    assert alone.quantities["rv_edv_ml"].reason == "the right ventricle is not segmented"
    assert alone.regional_reason == "the muscle is not segmented" and alone.segments == ()
    tube = read_out({1: boxes(16, rv=False)}, STRUCTURES, GEOMETRY, FACTS, Rules(basal_rule="ring50"), ed_frame=1)
    assert tube.quantities["lv_edv_ml"].reason == "which end of the stack is the base is not known"
    assert {one.from_base for one in tube.slices} == {None}
    assert all(math.isnan(one.counted_mm2) and math.isnan(one.counted_percent) for one in tube.slices)
    obliterated = boxes(8)
    obliterated[obliterated == 1] = 2  # at end-systole the walls may touch: a volume of 0 is one
    closed = read_out({1: boxes(16), 2: obliterated}, STRUCTURES, GEOMETRY, FACTS)
    assert closed.quantities["lv_esv_ml"].value == 0.0 and closed.quantities["lv_ef_percent"].value == 100.0


def test_a_slice_open_at_the_base_does_not_count_by_ring50() -> None:
    opened = boxes(16)
    opened[0][opened[0] == 2] = 0
    opened[0, 8:56, 2:8] = 3  # a wide RV tells the base
    whole = read_out({1: opened}, STRUCTURES, GEOMETRY, FACTS, ed_frame=1)
    ring = read_out({1: opened}, STRUCTURES, GEOMETRY, FACTS, Rules(basal_rule="ring50"), ed_frame=1)
    assert whole.quantities["lv_edv_ml"].value == pytest.approx(5.12)
    assert ring.quantities["lv_edv_ml"].value == pytest.approx(3 * 1.28)
    assert [one.counted_percent for one in ring.slices] == [0.0, 100.0, 100.0, 100.0]
    assert ring.quantities["lv_ed_mass_g"].value == whole.quantities["lv_ed_mass_g"].value  # muscle as segmented
    assert ring.method.basal_rule == "ring50"


def test_a_valve_plane_beyond_the_stack_and_one_within_it() -> None:
    """Slices reach from -5 to 35 mm: a plane at 0 mm takes half of the basal one, one at -10 mm adds half a slice."""
    for height_mm, slices in ((0.0, 3.5), (-10.0, 4.5)):
        rules = Rules(basal_rule="valve_plane", planes={1: plane_of((height_mm, 0.0, 0.0), (1.0, 0.0, 0.0))})
        readout = read_out({1: boxes(16)}, STRUCTURES, GEOMETRY, FACTS, rules, ed_frame=1)
        assert readout.quantities["lv_edv_ml"].value == pytest.approx(slices * 1.28)
        assert sum(one.counted_mm2 for one in readout.slices) * 10 / 1000 == pytest.approx(slices * 1.28)
    assert readout.slices[0].index == -1 and readout.slices[0].counted_mm2 == pytest.approx(64.0)
    without = read_out({1: boxes(16)}, STRUCTURES, GEOMETRY, FACTS, Rules(basal_rule="valve_plane"), ed_frame=1)
    assert without.quantities["lv_edv_ml"].reason == "no valve plane is given for this frame"


def test_papillary_muscles_move_from_the_cavity_to_the_mass() -> None:
    """A dark block of 3 x 2 pixels in each of 4 cavities: 24 voxels of 0.02 ml."""
    labels = boxes(16)
    image = np.where(labels == 1, 200.0, 50.0)
    image[:4, 30:33, 15:17] = 50.0
    kept = read_out({1: labels}, STRUCTURES, GEOMETRY, FACTS, ed_frame=1, images={1: image})
    moved = read_out(
        {1: labels}, STRUCTURES, GEOMETRY, FACTS, Rules(papillary_rule="in_mass"), ed_frame=1, images={1: image}
    )
    assert kept.quantities["lv_papillary_mass_g"].value == pytest.approx(24 * 0.02 * 1.05)
    assert moved.quantities["lv_edv_ml"].value == pytest.approx(5.12 - 24 * 0.02)
    difference = moved.quantities["lv_ed_mass_g"].value - kept.quantities["lv_ed_mass_g"].value
    assert difference == pytest.approx(24 * 0.02 * 1.05)
    assert "papillary muscles in the mass" in moved.quantities["lv_ed_mass_g"].convention


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": {}}, "at least one frame"),
        ({"frames": {1: np.zeros((4, 4, 4), np.uint8)}}, "does not have the geometry's shape"),
        ({"ed_frame": 2}, "frame 2 is not among the frames 1 to 1"),
        ({"frames": {2: boxes(8)}, "whole_cycle": True}, r"frames 1 to n, got \[2\]"),
        ({"rules": Rules(papillary_rule="in_mass")}, "frame 1 has none"),
        ({"facts": Facts(case="a", patient="p", rr_ms=60.0)}, "60 ms is not plausible"),
    ],
)
def test_what_cannot_be_read_out_is_refused(change: dict[str, object], words: str) -> None:
    given = {"frames": {1: boxes(16)}, "structures": STRUCTURES, "geometry": GEOMETRY, "facts": FACTS} | change
    with pytest.raises(ValueError, match=words):
        read_out(**given)


def test_a_short_cine_has_phases_and_says_why_it_has_no_curve() -> None:
    frames = {n + 1: boxes(side) for n, side in enumerate((16, 12, 8, 12, 14))}
    readout = read_out(frames, STRUCTURES, GEOMETRY, FACTS, whole_cycle=True, frame_time_ms=150.0)
    assert (readout.ed_frame, readout.es_frame) == (1, 3)
    assert readout.curve_reason == "a fit needs 8 frames with a volume, there are 5"
    assert readout.quantities["rr_ms"].value == pytest.approx(750.0)


def test_a_phantom_cine_against_its_truth() -> None:
    """Perfect labels of 8 mm slices read EDV within 7 ml (3 standard deviations and more of digitisation), rates by the fit."""
    spec = PhantomSpec(
        frames=20, ed_frame=3, spacing_mm=(5.0, 1.8, 1.8), shape=(24, 80, 80), mirrored=True, shift_mm=0.0
    )
    phantom = make_phantom(5, spec)
    truth = phantom.truth
    readout = read_out(
        {n + 1: labels for n, labels in enumerate(phantom.labels)}, truth.structures, phantom.geometry, FACTS,
        whole_cycle=True, frame_time_ms=phantom.frame_time_ms,
    )  # fmt: skip
    found = values(readout)
    assert abs(readout.ed_frame - truth.ed_frame) <= 1 and abs(readout.es_frame - truth.es_frame) <= 1
    assert found["lv_ef_percent"] == pytest.approx(truth.ef_percent, abs=3.0)
    assert found["lv_edv_ml"] == pytest.approx(truth.edv_ml, abs=7.0)
    assert found["lv_ed_mass_g"] == pytest.approx(truth.mass_g, abs=8.0)
    assert found["lv_peak_ejection_ml_per_s"] == pytest.approx(truth.peak_ejection_ml_per_s, rel=0.12)
    assert found["rr_ms"] == pytest.approx(truth.rr_ms, rel=1e-3)
    assert readout.orientation is not None and readout.orientation.base_first is False
    assert len(readout.curve.volume_ml) == len(readout.curve.wall_ml) == len(readout.curve.rv_ml) == 20
    thick = {segment.number: segment.ed_mm.value for segment in readout.segments}
    for number, true_mm in truth.wall_ed_mm.items():
        assert thick[int(number)] == pytest.approx(true_mm, abs=1.0)
    given = read_out(
        {n + 1: labels for n, labels in enumerate(phantom.labels)}, truth.structures, phantom.geometry, FACTS,
        whole_cycle=True, ed_frame=truth.ed_frame, es_frame=truth.es_frame,
    )  # fmt: skip
    assert given.method.phases_rule == "end-diastole and end-systole as given"
    assert given.quantities["lv_edv_ml"].value == pytest.approx(given.curve.volume_ml[truth.ed_frame - 1])


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_acdc_volumes_equal_those_computed_independently(acdc_folder: Path, every: int) -> None:
    """Patients of ``cases.csv``: LV at both phases, muscle and RV at end-diastole to 0.1 ml, EF to 0.2 points.

    The table's EF was computed from volumes rounded to 0.1 ml: of a cavity of 50 ml it may be off by 0.2 points.
    """
    table = acdc_folder.parent / "cases.csv"
    if not table.is_file():
        pytest.skip(f"{table} is not there")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 100
    means: dict[str, list[float]] = {}
    for row in rows[::every]:
        frames, geometry = {}, None
        for number in (int(row["ed_frame"]), int(row["es_frame"])):
            volume = read_labels(acdc_folder / row["patient"] / f"{row['patient']}_frame{number:02d}_gt.nii.gz")
            frames[number], geometry = np.array([0, 3, 2, 1], np.uint8)[volume.array], volume.geometry
        readout = read_out(frames, STRUCTURES, geometry, Facts(case=row["patient"], patient=row["patient"]))
        found = values(readout)
        # the table was computed with its own spacings, which are rounded to micrometres (1.5625 mm: 1.562)
        rounded = float(row["sx"]) * float(row["sy"]) * float(row["sz"]) / math.prod(geometry.spacing_mm)
        assert rounded == pytest.approx(1.0, abs=1e-3)
        assert (readout.ed_frame, readout.es_frame) == (int(row["ed_frame"]), int(row["es_frame"])), row["patient"]
        for name, column in (("lv_edv_ml", "lv_ed_ml"), ("lv_esv_ml", "lv_es_ml"), ("rv_edv_ml", "rv_ed_ml")):
            assert found[name] * rounded == pytest.approx(float(row[column]), abs=0.1), (row["patient"], name)
        assert found["lv_ed_mass_g"] * rounded == pytest.approx(1.05 * float(row["myo_ed_ml"]), abs=0.1), row["patient"]
        assert found["lv_ef_percent"] == pytest.approx(100 * float(row["ef"]), abs=0.2), row["patient"]
        means.setdefault(row["group"], []).append(found["lv_ef_percent"])
    ordered = sorted(means, key=lambda group: float(np.mean(means[group])))
    assert [group for group in ordered if group != "RV"] == ["DCM", "MINF", "NOR", "HCM"]

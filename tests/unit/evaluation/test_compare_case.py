"""One case against its reference: every field of the record, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.evaluation.case import compare_case
from autolv.schema.record import from_json
from autolv.schema.results import CaseMetrics

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
SPACING_MM = (10.0, 2.0, 1.0)  # 0.02 ml per voxel


def _reference(slices=3):
    """Slices, each with a 4 x 4 cavity in an 8 x 8 wall; the most basal one with an RV of 8 x 2."""
    labels = np.zeros((slices, 12, 14), dtype=np.uint8)
    labels[:, 2:10, 2:10] = 2
    labels[:, 4:8, 4:8] = 1
    labels[0, 2:10, 11:13] = 3
    return labels


def _compare(prediction, reference, structures=STRUCTURES):
    return compare_case(prediction, reference, SPACING_MM, structures, case="a", patient="p", phase="ED", group="NOR")


def test_identical_maps() -> None:
    metrics = _compare(_reference(), _reference())
    assert (metrics.case, metrics.patient, metrics.phase, metrics.group) == ("a", "p", "ED", "NOR")
    assert tuple(metrics.structures) == STRUCTURES
    for structure in metrics.structures.values():
        assert (structure.dice, structure.iou) == (1.0, 1.0)
        assert (structure.hausdorff_mm, structure.hd95_mm, structure.assd_mm) == (0.0, 0.0, 0.0)
        assert structure.surface_dice == {"1": 1.0, "2": 1.0, "3": 1.0}
        assert (structure.slices_missed, structure.slices_invented, structure.empty) == (0, 0, "")
    assert metrics.structures["lv_cavity"].volume_ml == pytest.approx(3 * 16 * 0.02)
    assert metrics.structures["lv_myocardium"].reference_volume_ml == pytest.approx(3 * 48 * 0.02)


def test_cavity_missed_in_the_apical_slice_and_shifted_in_the_basal_one() -> None:
    prediction = _reference()
    prediction[2][prediction[2] == 1] = 2
    prediction[0, 4:8, 4] = 2
    prediction[0, 4:8, 8] = 1  # one column, 1 mm, to the right
    cavity = _compare(prediction, _reference()).structures["lv_cavity"]
    assert cavity.dice == pytest.approx(2 * (12 + 16) / (32 + 48))
    assert cavity.iou == pytest.approx(28 / 52)
    assert (cavity.slices_missed, cavity.slices_invented) == (1, 0)
    assert cavity.hausdorff_mm == pytest.approx(10.0)
    assert cavity.level_dice == {"base": 0.75, "mid": 1.0, "apex": 0.0}
    assert cavity.level_hausdorff_mm["base"] == pytest.approx(1.0)
    assert cavity.level_hausdorff_mm["mid"] == 0.0
    assert math.isnan(cavity.level_hausdorff_mm["apex"])
    assert cavity.volume_ml == pytest.approx(32 * 0.02)
    assert cavity.reference_volume_ml == pytest.approx(48 * 0.02)


def test_a_level_s_overlap_is_pooled_and_its_distances_are_means_over_its_slices_in_plane() -> None:
    reference = _reference(6)  # base: slices 0 and 1
    prediction = reference.copy()
    prediction[0, 4, 4:8] = 2
    prediction[0, 8, 4:8] = 1  # one row, 2 mm, down; slice 1 is left as it is
    prediction[2][prediction[2] == 1] = 2  # mid: of slices 2 and 3 the first is missed
    cavity = _compare(prediction, reference).structures["lv_cavity"]
    # slice 0, 12 contour voxels a side: 4 at 2 mm (the row beyond), 2 at 1 mm (what was inside, beside a column)
    assert cavity.level_dice["base"] == pytest.approx(2 * (12 + 16) / 64)
    assert cavity.level_iou["base"] == pytest.approx((12 + 16) / (20 + 16))
    assert cavity.level_hausdorff_mm["base"] == pytest.approx((2.0 + 0.0) / 2)
    assert cavity.level_hd95_mm["base"] == pytest.approx((2.0 + 0.0) / 2)
    assert cavity.level_assd_mm["base"] == pytest.approx((10 / 12 + 0.0) / 2)
    assert {t: of["base"] for t, of in cavity.level_surface_dice.items()} == pytest.approx(
        {"1": (8 / 12 + 1.0) / 2, "2": 1.0, "3": 1.0}
    )
    assert cavity.level_iou["mid"] == pytest.approx(16 / 32)
    assert cavity.level_assd_mm["mid"] == 0.0  # of the slice that both have; the missed one is counted
    assert cavity.slices_missed == 1
    assert cavity.level_iou["apex"] == 1.0
    assert cavity.level_surface_dice["1"]["apex"] == 1.0


@pytest.mark.parametrize("empty", ["prediction", "reference", "both"])
def test_structure_without_voxels(empty) -> None:
    prediction, reference = _reference(), _reference()
    if empty in ("prediction", "both"):
        prediction[prediction == 3] = 0
    if empty in ("reference", "both"):
        reference[reference == 3] = 0
    metrics = _compare(prediction, reference).structures["rv_cavity"]
    assert metrics.empty == empty
    assert (math.isnan(metrics.dice), math.isnan(metrics.iou)) == (empty == "both",) * 2
    if empty != "both":
        assert (metrics.dice, metrics.iou) == (0.0, 0.0)
    undefined = (metrics.hausdorff_mm, metrics.hd95_mm, metrics.assd_mm, *metrics.surface_dice.values())
    assert all(math.isnan(value) for value in undefined)
    assert metrics.slices_missed == (empty == "prediction")
    assert metrics.slices_invented == (empty == "reference")


def test_dataset_with_the_cavity_alone() -> None:
    cavity = (_reference() == 1).astype(np.uint8)
    metrics = _compare(cavity, cavity, ("lv_cavity",))
    assert tuple(metrics.structures) == ("lv_cavity",)
    assert metrics.structures["lv_cavity"].dice == 1.0


def test_maps_are_not_changed() -> None:
    prediction, reference = _reference(), _reference()
    prediction[0] = 0
    before = prediction.copy()
    _compare(prediction, reference)
    np.testing.assert_array_equal(prediction, before)
    np.testing.assert_array_equal(reference, _reference())


def test_record_survives_writing_and_reading() -> None:
    prediction = _reference()
    prediction[prediction == 3] = 0
    metrics = _compare(prediction, _reference())
    again = from_json(CaseMetrics, metrics.to_json(), where="memory")
    assert again.to_json() == metrics.to_json()
    assert math.isnan(again.structures["rv_cavity"].hausdorff_mm)


def test_other_shape_names_the_case() -> None:
    with pytest.raises(DataError, match=r"case a: the prediction has shape \(2, 12, 14\)"):
        _compare(_reference()[:2], _reference())


def test_label_without_structure_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 0 to 1"):
        _compare(_reference(), _reference(), ("lv_cavity",))


def test_a_structure_that_is_not_annotated_has_no_metrics_and_changes_no_other() -> None:
    reference = _reference()
    reference[reference == 3] = 0
    metrics = compare_case(
        _reference(), reference, SPACING_MM, STRUCTURES, case="a", patient="p", not_annotated=("rv_cavity",)
    )
    assert tuple(metrics.structures) == ("lv_cavity", "lv_myocardium")
    assert metrics.not_annotated == ("rv_cavity",)
    assert metrics.structures["lv_cavity"].dice == 1.0
    assert from_json(CaseMetrics, metrics.to_json(), where="metrics") == metrics


def test_a_record_of_an_earlier_day_had_everything_annotated() -> None:
    text = _compare(_reference(), _reference()).to_json().replace(',\n "not_annotated": []', "")
    assert "not_annotated" not in text
    assert from_json(CaseMetrics, text, where="metrics").not_annotated == ()

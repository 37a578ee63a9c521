"""Means over cases, phases, groups and levels; what is left out and counted."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from autolv.evaluation.agreement import agreement_by_patient
from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import LEVEL_METRICS, METRICS, summarise
from autolv.schema.record import from_json
from autolv.schema.results import Evaluation

STRUCTURES = ("lv_cavity", "rv_cavity")


def _case(name, patient, phase, group, prediction, reference):
    maps = [np.array(line, dtype=np.uint8).reshape(1, 1, -1) for line in (prediction, reference)]
    return compare_case(
        *maps, (10.0, 10.0, 10.0), STRUCTURES, case=name, patient=patient, phase=phase, group=group
    )  # 1 ml per voxel


@pytest.fixture
def evaluation():
    return summarise(
        (
            _case("a1", "a", "ED", "NOR", [1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2]),  # LV 1, RV 1
            _case("a2", "a", "ES", "NOR", [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 2, 0]),  # LV 2/3, RV missed: 0
            _case("b1", "b", "ED", "DCM", [1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]),  # LV 2/3, RV empty in both
            _case("b2", "b", "ES", "DCM", [1, 0, 0, 0, 2, 0], [1, 0, 0, 0, 0, 0]),  # LV 1, RV invented: 0
        )
    )


def test_means_leave_out_what_is_empty_in_both(evaluation) -> None:
    assert evaluation.summary["lv_cavity"]["dice"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 1) / 4)
    assert evaluation.summary["rv_cavity"]["dice"] == pytest.approx((1 + 0 + 0) / 3)
    assert evaluation.summary["rv_cavity"]["hausdorff_mm"] == 0.0  # the one case where it is defined


def test_mean_dice_is_the_mean_of_the_structures_means(evaluation) -> None:
    assert evaluation.mean_dice == pytest.approx((5 / 6 + 1 / 3) / 2)


def test_undefined_pairs_are_counted_by_reason(evaluation) -> None:
    assert evaluation.undefined == {
        "empty in prediction and reference": 1, "empty in prediction only": 1, "empty in reference only": 1,
        "not annotated in the reference": 0,
    }  # fmt: skip


def test_volumes_and_slices_are_averaged(evaluation) -> None:
    rv = evaluation.summary["rv_cavity"]
    assert (rv["volume_ml"], rv["reference_volume_ml"], rv["volume_error_ml"]) == pytest.approx((0.75, 0.75, 0.0))
    assert (rv["slices_missed"], rv["slices_invented"]) == (0.25, 0.25)
    assert set(rv) == set(METRICS)


def test_phases_and_groups_are_averaged_apart(evaluation) -> None:
    assert list(evaluation.by_phase) == ["ED", "ES"]
    assert list(evaluation.by_group) == ["DCM", "NOR"]
    assert evaluation.by_phase["ED"]["lv_cavity"]["dice"] == pytest.approx(5 / 6)
    assert evaluation.by_phase["ED"]["rv_cavity"]["dice"] == 1.0
    assert evaluation.by_group["DCM"]["rv_cavity"]["dice"] == 0.0


def test_levels_are_averaged_over_cases(evaluation) -> None:
    # one slice: it is the middle of its own ventricle
    assert evaluation.by_level["lv_cavity"]["mid"] == pytest.approx(5 / 6)
    assert math.isnan(evaluation.by_level["lv_cavity"]["base"])
    assert evaluation.by_level_iou["lv_cavity"]["mid"] == pytest.approx((1 + 1 / 2 + 1 / 2 + 1) / 4)
    for distances in (evaluation.by_level_hausdorff_mm, evaluation.by_level_hd95_mm, evaluation.by_level_assd_mm):
        assert set(distances["lv_cavity"]) == {"base", "mid", "apex"}
    # in a row of voxels the contour is its two ends. a2: 0 and 10 mm forth, 0 and 20 back; b1: 10 mm each, 4 times
    assert evaluation.by_level_hausdorff_mm["lv_cavity"]["mid"] == pytest.approx((0 + 20 + 10 + 0) / 4)
    assert evaluation.by_level_assd_mm["lv_cavity"]["mid"] == pytest.approx((0 + 30 / 4 + 40 / 4 + 0) / 4)
    assert evaluation.by_level_surface_dice["1"]["lv_cavity"]["mid"] == pytest.approx((1 + 2 / 4 + 0 + 1) / 4)


def test_measures_of_levels_are_named_once() -> None:
    assert set(LEVEL_METRICS) == {
        "dice", "iou", "hausdorff_2d_mm", "hd95_2d_mm", "assd_2d_mm",
        "surface_dice_2d_1mm", "surface_dice_2d_2mm", "surface_dice_2d_3mm",
    }  # fmt: skip


def test_agreement_is_by_patient(evaluation) -> None:
    assert evaluation.agreement["EDV [ml]"].n == 2
    assert evaluation.agreement["ESV [ml]"].bias == pytest.approx((2 - 4 + 1 - 1) / 2)


def test_agreement_of_a_group_is_that_of_its_patients_alone(evaluation) -> None:
    groups = evaluation.agreement_by_group
    assert list(groups) == ["DCM", "NOR"]
    assert {group: value["EDV [ml]"].n for group, value in groups.items()} == {"DCM": 1, "NOR": 1}
    assert groups["NOR"]["ESV [ml]"].bias == pytest.approx(2 - 4)
    assert groups["DCM"]["ESV [ml]"].bias == 0.0
    assert groups["NOR"]["EF [%]"].bias == pytest.approx(50.0)  # 50 against 0 %
    of_one = agreement_by_patient([case for case in evaluation.cases if case.group == "NOR"])
    assert {name: value.to_json() for name, value in groups["NOR"].items()} == {
        name: value.to_json() for name, value in of_one.items()
    }


def test_intervals_hold_their_means(evaluation) -> None:
    assert set(evaluation.dice_interval) == {"mean", *STRUCTURES}
    lower, upper = evaluation.dice_interval["lv_cavity"]
    assert lower == upper == pytest.approx(5 / 6)  # both patients have this mean
    lower, upper = evaluation.dice_interval["mean"]
    assert lower <= evaluation.mean_dice <= upper


def test_order_of_the_cases_changes_no_mean(evaluation) -> None:
    again = summarise(evaluation.cases[::-1])
    assert again.mean_dice == pytest.approx(evaluation.mean_dice)
    assert again.agreement["ESV [ml]"].bias == pytest.approx(evaluation.agreement["ESV [ml]"].bias)
    assert again.dice_interval["mean"] == pytest.approx(evaluation.dice_interval["mean"])


def test_no_cases() -> None:
    empty = summarise(())
    assert math.isnan(empty.mean_dice)
    assert (empty.summary, empty.by_phase, empty.by_group, empty.agreement, empty.dice_interval) == ({},) * 5


def test_cases_without_phase_and_group_make_no_strata() -> None:
    evaluation = summarise((_case("a", "a", None, None, [1, 0], [1, 0]),))
    assert (evaluation.by_phase, evaluation.by_group, evaluation.agreement_by_group) == ({}, {}, {})
    assert evaluation.mean_dice == 1.0


def test_record_survives_writing_and_reading(evaluation) -> None:
    again = from_json(Evaluation, evaluation.to_json(), where="memory")
    assert again.to_json() == evaluation.to_json()


def test_records_without_surface_or_level_measures_are_summarised_with_these_undefined(evaluation) -> None:
    bare = {"surface_dice": {}, "level_surface_dice": {}}
    bare |= {f"level_{name}": {} for name in ("dice", "iou", "hausdorff_mm", "hd95_mm", "assd_mm")}
    cases = tuple(
        case.model_copy(update={"structures": {n: m.model_copy(update=bare) for n, m in case.structures.items()}})
        for case in evaluation.cases
    )
    again = summarise(cases)
    assert again.mean_dice == evaluation.mean_dice
    assert math.isnan(again.summary["lv_cavity"]["surface_dice_1mm"])
    assert math.isnan(again.by_level["lv_cavity"]["mid"])
    assert math.isnan(again.by_level_surface_dice["1"]["lv_cavity"]["mid"])


def test_an_evaluation_of_an_earlier_day_is_read_with_what_it_lacks_empty(evaluation) -> None:
    content = json.loads(evaluation.to_json())
    later = [name for name in content if name.startswith(("agreement_by_", "by_level_"))]
    assert len(later) == 6
    for name in later:
        del content[name]
    for case in content["cases"]:
        for metrics in case["structures"].values():
            for name in [name for name in metrics if name.startswith("level_") and name != "level_dice"]:
                del metrics[name]
    earlier = from_json(Evaluation, json.dumps(content), where="memory")
    assert earlier.by_level["lv_cavity"]["mid"] == evaluation.by_level["lv_cavity"]["mid"]
    assert (earlier.agreement_by_group, earlier.by_level_iou, earlier.by_level_surface_dice) == ({}, {}, {})


def test_what_is_not_annotated_is_left_out_and_counted() -> None:
    known = _case("a1", "a", "ED", "NOR", [1, 1, 2, 2], [1, 1, 2, 0])  # RV Dice 2/3
    maps = [np.array(line, dtype=np.uint8).reshape(1, 1, -1) for line in ([1, 1, 2, 2], [1, 1, 0, 0])]
    partial = compare_case(
        *maps, (10.0, 10.0, 10.0), STRUCTURES, case="b1", patient="b", phase="ED", group="DCM",
        not_annotated=("rv_cavity",),
    )  # fmt: skip
    evaluation = summarise((known, partial))
    assert evaluation.summary["rv_cavity"]["dice"] == pytest.approx(2 / 3)
    assert evaluation.summary["rv_cavity"]["volume_ml"] == evaluation.summary["rv_cavity"]["slices_invented"] + 2.0
    assert evaluation.undefined["not annotated in the reference"] == 1
    assert evaluation.undefined["empty in reference only"] == 0
    assert math.isnan(evaluation.by_group["DCM"]["rv_cavity"]["dice"])
    alone = summarise((partial,))
    assert math.isnan(alone.summary["rv_cavity"]["dice"])
    assert alone.mean_dice == 1.0
    assert from_json(Evaluation, alone.to_json(), where="evaluation").undefined == alone.undefined

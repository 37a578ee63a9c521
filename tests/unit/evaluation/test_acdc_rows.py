"""The ACDC challenge's conventions, which differ from ours where a structure is empty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.acdc import MYOCARDIUM_ES, acdc_rows
from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _case(patient, phase, prediction, reference):
    maps = [np.array(line, dtype=np.uint8).reshape(1, 1, -1) for line in (prediction, reference)]
    return compare_case(*maps, (10.0, 10.0, 10.0), STRUCTURES, case=f"{patient}{phase}", patient=patient, phase=phase)


CASES = (
    _case("a", "ED", [1, 1, 2, 2, 0], [1, 1, 2, 2, 0]),  # RV empty in both
    _case("a", "ES", [1, 0, 2, 2, 3], [1, 1, 2, 0, 0]),  # RV invented
    _case("b", "ED", [1, 1, 2, 3, 3], [1, 1, 2, 0, 3]),
    _case("b", "ES", [1, 0, 2, 2, 0], [1, 0, 2, 2, 3]),  # RV missed
)


def test_empty_in_both_counts_as_perfect_here_and_not_elsewhere() -> None:
    rv = {row.structure: row for row in acdc_rows(CASES)}["rv_cavity"]
    assert rv.dice_ed == pytest.approx((1 + 2 / 3) / 2)
    assert rv.hausdorff_ed_mm == pytest.approx((0 + 10) / 2)
    assert summarise(CASES).by_phase["ED"]["rv_cavity"]["dice"] == pytest.approx(2 / 3)


def test_failure_has_dice_zero_and_no_flattering_distance() -> None:
    rv = {row.structure: row for row in acdc_rows(CASES)}["rv_cavity"]
    assert rv.dice_es == 0.0
    assert math.isnan(rv.hausdorff_es_mm)
    assert rv.no_distance == 2


def test_rows_and_their_quantities() -> None:
    rows = acdc_rows(CASES)
    assert [row.structure for row in rows] == ["lv_cavity", "rv_cavity", "lv_myocardium"]
    assert [list(row.agreement) for row in rows] == [
        ["EF [%]", "EDV [ml]"], ["RV EF [%]", "RV EDV [ml]"], ["mass [g]", MYOCARDIUM_ES]
    ]  # fmt: skip
    wall = rows[2].agreement[MYOCARDIUM_ES]  # 2 against 1 ml, 2 against 2 ml
    assert (wall.n, wall.bias) == (2, pytest.approx(0.5))


def test_structures_that_no_case_has_make_no_row() -> None:
    cavity = tuple(
        compare_case(labels, labels, (1.0, 1.0, 1.0), ("lv_cavity",), case=f"{phase}", patient="a", phase=phase)
        for phase, labels in (("ED", np.ones((1, 2, 2), dtype=np.uint8)), ("ES", np.ones((1, 2, 2), dtype=np.uint8)))
    )
    assert [row.structure for row in acdc_rows(cavity)] == ["lv_cavity"]
    assert acdc_rows(()) == ()

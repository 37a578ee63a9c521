"""Slice levels: thirds of the reference's LV, the base found from the anatomy whichever way the stack runs."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from autolv.evaluation.levels import level_means, level_overlap, missed_and_invented, slice_levels
from autolv.evaluation.overlap import joint_histogram

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
LV, MYO, RV = 1, 2, 3


def _heart(slices, *, before=0, after=0):
    """A heart whose base is slice ``before``: the LV tapers, the RV is in the basal half only."""
    stack = np.zeros((before + slices + after, 24, 24), dtype=np.uint8)
    for i in range(slices):
        radius = 4 + (slices - i) // 2
        one = stack[before + i]
        one[2 : 2 + 2 * radius, 2 : 2 + 2 * radius] = MYO
        one[4 : 2 * radius, 4 : 2 * radius] = LV
        if i < slices // 2:
            one[2:20, 20:23] = RV
    return stack


@pytest.mark.parametrize(
    ("slices", "counts"),
    [(1, (0, 1, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (1, 2, 1)), (5, (2, 1, 2)), (10, (3, 4, 3)), (11, (4, 3, 4))],
)
def test_thirds_are_as_even_as_whole_slices_allow(slices, counts) -> None:
    levels = slice_levels(_heart(slices), STRUCTURES)
    assert tuple(levels.count(level) for level in ("base", "mid", "apex")) == counts


def test_base_comes_first_in_a_stack_that_begins_there() -> None:
    assert slice_levels(_heart(6), STRUCTURES) == ("base", "base", "mid", "mid", "apex", "apex")


def test_reversed_stack_has_reversed_levels() -> None:
    heart = _heart(7, before=2, after=1)
    assert slice_levels(heart[::-1], STRUCTURES) == slice_levels(heart, STRUCTURES)[::-1]


def test_slices_beyond_the_ventricle_belong_to_the_level_at_that_end() -> None:
    heart = _heart(3, before=2, after=1)
    heart[1, 2:20, 20:23] = RV  # the outflow tract lies above the mitral valve
    assert slice_levels(heart, STRUCTURES) == ("base", "base", "base", "mid", "apex", "apex")


def test_levels_without_right_ventricle_or_myocardium() -> None:
    cavity = (_heart(6) == LV).astype(np.uint8)
    assert slice_levels(cavity, ("lv_cavity",)) == ("base", "base", "mid", "mid", "apex", "apex")


def test_empty_reference_has_no_levels() -> None:
    assert slice_levels(np.zeros((3, 4, 4), dtype=np.uint8), STRUCTURES) == ("", "", "")


def test_right_ventricle_alone_has_no_levels() -> None:
    assert slice_levels(np.full((2, 4, 4), RV, dtype=np.uint8), STRUCTURES) == ("", "")


def test_overlap_of_each_level_by_hand() -> None:
    reference = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.uint8)[:, None]
    prediction = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=np.uint8)[:, None]
    histogram = joint_histogram(prediction, reference, 2)
    overlap = level_overlap(histogram, 1, ("base", "base", "mid", "apex"))
    assert overlap["base"].dice == pytest.approx(2 * 4 / (6 + 4))  # pooled over the level's two slices
    assert overlap["base"].iou == pytest.approx(4 / 6)
    assert math.isnan(overlap["mid"].dice)  # nothing there on either side
    assert math.isnan(overlap["mid"].iou)
    assert (overlap["apex"].dice, overlap["apex"].iou) == (0.0, 0.0)  # both there, nothing in common


def test_means_of_each_level_leave_out_what_is_undefined() -> None:
    means = level_means([1.0, 4.0, math.nan, 2.0, math.nan], ("base", "base", "base", "mid", "apex"))
    assert (means["base"], means["mid"]) == (2.5, 2.0)
    assert math.isnan(means["apex"])


def test_a_stack_without_levels_has_means_of_none() -> None:
    assert all(math.isnan(value) for value in level_means([1.0, 2.0], ("", "")).values())


def test_overlap_is_undefined_without_levels() -> None:
    histogram = joint_histogram(np.ones((2, 1, 1), dtype=np.uint8), np.zeros((2, 1, 1), dtype=np.uint8), 2)
    assert all(math.isnan(value.dice) for value in level_overlap(histogram, 1, ("", "")).values())


def test_missed_and_invented_slices() -> None:
    reference = np.array([1, 1, 0, 2, 0], dtype=np.uint8).reshape(5, 1, 1)
    prediction = np.array([1, 0, 1, 1, 0], dtype=np.uint8).reshape(5, 1, 1)
    histogram = joint_histogram(prediction, reference, 3)
    assert missed_and_invented(histogram, 1) == (1, 2)  # missed in slice 1; invented in 2 and 3
    assert missed_and_invented(histogram, 2) == (1, 0)


def test_base_of_the_acdc_references_is_the_first_slice_of_each_file() -> None:
    folder = os.environ.get("AUTOLV_ACDC")
    if not folder:
        pytest.skip("AUTOLV_ACDC does not name ACDC's training folder")
    nibabel = pytest.importorskip("nibabel")
    files = sorted(Path(folder).glob("patient*/patient*_gt.nii.gz"))[::4]
    assert len(files) >= 25
    table = np.array([0, RV, MYO, LV], dtype=np.uint8)  # the release's codes: 1 RV, 2 myocardium, 3 LV
    for file in files:
        labels = table[np.asarray(nibabel.load(file).dataobj).astype(np.uint8).transpose(2, 1, 0)]
        levels = slice_levels(labels, STRUCTURES)
        assert (levels[0], levels[-1]) == ("base", "apex"), file.name
        assert slice_levels(labels[::-1], STRUCTURES) == levels[::-1], file.name

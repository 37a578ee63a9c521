"""Dice and IoU by hand, against SimpleITK, and the rules for structures without voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from autolv.evaluation.overlap import joint_histogram, overlap_of


def _overlap(prediction, reference, channel=1, classes=3):
    as_labels = [np.asarray(a, dtype=np.uint8).reshape(1, 1, -1) for a in (prediction, reference)]
    return overlap_of(joint_histogram(*as_labels, classes), channel)


def test_dice_and_iou_by_hand() -> None:
    overlap = _overlap([1, 1, 1, 0, 0, 2], [0, 1, 1, 1, 1, 2])  # 3 and 4 voxels, 2 in common
    assert (overlap.prediction_voxels, overlap.reference_voxels, overlap.common_voxels) == (3, 4, 2)
    assert overlap.dice == pytest.approx(4 / 7)
    assert overlap.iou == pytest.approx(2 / 5)
    assert overlap.empty == ""


def test_identical_maps_have_dice_and_iou_of_one() -> None:
    overlap = _overlap([1, 2, 0, 1], [1, 2, 0, 1])
    assert overlap.dice == 1.0
    assert overlap.iou == 1.0


def test_empty_in_both_is_undefined() -> None:
    overlap = _overlap([0, 2], [2, 0])
    assert overlap.empty == "both"
    assert math.isnan(overlap.dice)
    assert math.isnan(overlap.iou)


@pytest.mark.parametrize(("prediction", "reference", "empty"), [([0], [1], "prediction"), ([1], [0], "reference")])
def test_empty_in_one_scores_zero(prediction, reference, empty) -> None:
    overlap = _overlap(prediction, reference)
    assert overlap.empty == empty
    assert overlap.dice == 0.0
    assert overlap.iou == 0.0


def test_joint_histogram_counts_each_slice_by_reference_and_prediction() -> None:
    prediction = np.array([[[0, 1]], [[2, 2]]], dtype=np.uint8)  # (2, 1, 2)
    reference = np.array([[[0, 0]], [[2, 1]]], dtype=np.uint8)
    before = prediction.copy(), reference.copy()
    expected = np.zeros((2, 3, 3), dtype=int)
    expected[0, 0, 0] = 1
    expected[0, 0, 1] = 1
    expected[1, 2, 2] = 1
    expected[1, 1, 2] = 1
    np.testing.assert_array_equal(joint_histogram(prediction, reference, 3), expected)
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(reference, before[1])


def test_joint_histogram_holds_every_voxel() -> None:
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 4, (2, 5, 6, 7), dtype=np.uint8)
    assert joint_histogram(maps[0], maps[1], 4).sum(axis=(1, 2)).tolist() == [42] * 5


def test_labels_out_of_range_and_other_shapes_are_refused() -> None:
    a = np.zeros((1, 2, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="prediction must hold 0 to 3"):
        joint_histogram(a + 4, a, 4)
    with pytest.raises(ValueError, match="one shape"):
        joint_histogram(a, a[:, :1], 4)


def test_dice_and_iou_equal_simpleitk() -> None:
    rng = np.random.default_rng(1)
    prediction, reference = rng.integers(0, 4, (2, 4, 9, 8), dtype=np.uint8)
    theirs = sitk.LabelOverlapMeasuresImageFilter()
    theirs.Execute(sitk.GetImageFromArray(reference), sitk.GetImageFromArray(prediction))
    histogram = joint_histogram(prediction, reference, 4)
    for channel in (1, 2, 3):
        ours = overlap_of(histogram, channel)
        assert ours.dice == pytest.approx(theirs.GetDiceCoefficient(channel), rel=1e-12)
        assert ours.iou == pytest.approx(theirs.GetJaccardCoefficient(channel), rel=1e-12)

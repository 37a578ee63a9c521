"""A case compared near its structures alone has what a comparison over the whole grid finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from autolv.evaluation.case import compare_case
from autolv.evaluation.overlap import joint_counts, joint_histogram

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _surface(mask):
    """Voxels that an erosion by neighbours along any axis removes; along an axis of one voxel nothing is eroded."""
    inside = mask
    for axis, size in enumerate(mask.shape):
        if size > 1:
            line = np.ones([3 if i == axis else 1 for i in range(mask.ndim)], dtype=bool)
            inside = inside & ndimage.binary_erosion(mask, line)
    return mask & ~inside


def _distances(predicted, referred, spacing_mm):
    if not predicted.any() or not referred.any():
        return np.empty(0), np.empty(0)
    a, b = _surface(predicted), _surface(referred)
    to_b, to_a = (ndimage.distance_transform_edt(~mask, sampling=spacing_mm) for mask in (b, a))
    return to_b[a], to_a[b]


def _measures(distances):
    pooled = np.concatenate(distances)
    if not pooled.size:
        return [math.nan] * 4
    worst = max(np.percentile(one, 95) for one in distances)
    return [pooled.max(), worst, pooled.mean(), (pooled <= 2.0 + 1e-6).mean()]


def _blobs(shape, seed):
    """Labels with soft borders that touch the array's faces, and a few single voxels far away."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(4, *shape)), (0, 0.7, 3, 3))
    labels = fields.argmax(axis=0).astype(np.uint8)
    labels[rng.random(shape) < 0.002] = 3
    labels[:, : shape[1] // 3] = 0
    return labels


@pytest.mark.parametrize("shape", [(6, 48, 40), (1, 40, 30), (5, 33, 1), (3, 1, 20)])
def test_surfaces_and_contours_are_those_of_whole_masks(shape):
    spacing_mm = (8.0, 1.25, 1.5)
    prediction, reference = _blobs(shape, 1), _blobs(shape, 2)
    prediction[: len(prediction) // 3] = 0
    metrics = compare_case(prediction, reference, spacing_mm, STRUCTURES, case="a", patient="p")
    for channel, name in enumerate(STRUCTURES, start=1):
        found = metrics.structures[name]
        masks = prediction == channel, reference == channel
        expected = _measures(_distances(*masks, spacing_mm))
        assert [found.hausdorff_mm, found.hd95_mm, found.assd_mm, found.surface_dice["2"]] == pytest.approx(
            expected, rel=1e-12, nan_ok=True
        )
        total = masks[0].sum() + masks[1].sum()
        dice = 2 * (masks[0] & masks[1]).sum() / total if total else math.nan
        assert found.dice == pytest.approx(dice, nan_ok=True)
        of_slices = np.array([_measures(_distances(a, b, spacing_mm[1:])) for a, b in zip(*masks, strict=True)])
        levels = [v for v in found.level_assd_mm.values() if not math.isnan(v)]
        if levels:
            assert min(levels) >= np.nanmin(of_slices[:, 2]) - 1e-9
            assert max(levels) <= np.nanmax(of_slices[:, 2]) + 1e-9


def test_a_structure_one_voxel_wide_is_not_taken_for_a_flat_image():
    labels = np.zeros((3, 9, 9), dtype=np.uint8)
    labels[:, 2:7, 4] = 1  # a sheet across x
    other = np.roll(labels, 2, axis=2)
    metrics = compare_case(other, labels, (10.0, 1.0, 1.5), STRUCTURES, case="a", patient="p").structures["lv_cavity"]
    assert metrics.assd_mm == pytest.approx(3.0)  # all 15 voxels are surface, two pixels apart
    assert (metrics.dice, metrics.volume_ml) == (0.0, pytest.approx(15 * 0.015))


def test_neither_map_is_changed_and_nothing_labelled_gives_nothing():
    empty = np.zeros((2, 5, 6), dtype=np.uint8)
    empty.setflags(write=False)
    metrics = compare_case(empty, empty, (8.0, 1.0, 1.0), STRUCTURES, case="a", patient="p")
    assert all(one.empty == "both" and math.isnan(one.dice) for one in metrics.structures.values())


def test_counts_in_one_pass_are_the_histograms_sum_over_slices():
    rng = np.random.default_rng(0)
    prediction, reference = rng.integers(0, 4, (2, 5, 30, 20)).astype(np.uint8)
    np.testing.assert_array_equal(
        joint_counts(prediction, reference, 4), joint_histogram(prediction, reference, 4).sum(axis=0)
    )
    with pytest.raises(ValueError, match="at most 15"):
        joint_counts(prediction, reference, 16)

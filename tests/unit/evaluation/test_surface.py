"""Surface distances by hand on anisotropic grids, against all pairs of points, and against SimpleITK."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.distance import cdist

from autolv.evaluation.surface import (
    SurfaceDistances,
    assd_mm,
    contour_distances,
    hausdorff_mm,
    hd95_mm,
    surface,
    surface_dice,
    surface_distances,
)

SPACING_MM = (9.0, 1.5, 1.25)


def _mask(shape, *boxes):
    mask = np.zeros(shape, dtype=bool)
    for box in boxes:
        mask[tuple(slice(a, b) for a, b in box)] = True
    return mask


def _blob(seed, shape=(6, 20, 22)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0.8, 2.5, 2.5))
    return noise > np.quantile(noise, 0.75)


def _all_measures(distances):
    dice = [surface_dice(distances, t) for t in (1.0, 2.0, 3.0)]
    return [hausdorff_mm(distances), hd95_mm(distances), assd_mm(distances), *dice]


def test_surface_of_a_box_is_its_shell() -> None:
    mask = _mask((7, 8, 9), [(1, 6), (1, 6), (1, 6)])  # 5 x 5 x 5 in the middle
    assert int(surface(mask).sum()) == 125 - 27


def test_surface_includes_voxels_at_the_array_s_border() -> None:
    assert int(surface(np.ones((3, 4, 5), dtype=bool)).sum()) == 60 - 1 * 2 * 3


def test_surface_of_a_single_slice_is_its_contour() -> None:
    assert int(surface(np.ones((1, 4, 5), dtype=bool)).sum()) == 20 - 2 * 3


def test_surface_equals_erosion_by_six_neighbours() -> None:
    mask = _blob(3)
    eroded = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))
    np.testing.assert_array_equal(surface(mask), mask & ~eroded)


def test_square_shifted_by_one_pixel_in_one_slice() -> None:
    # reference  prediction   each ring has 8 voxels; spacing y 1 mm, x 3 mm
    #  # # # .    . # # #     left (right) column: 3 voxels, one column apart: 3 mm
    #  # . # .    . # . #     middle of the other side: one row from the ring: 1 mm
    #  # # # .    . # # #     the other four are common: 0
    reference = _mask((1, 5, 6), [(0, 1), (1, 4), (1, 4)])
    prediction = np.roll(reference, 1, axis=2)
    distances = surface_distances(prediction, reference, (8.0, 1.0, 3.0))
    for directed in (distances.prediction_to_reference_mm, distances.reference_to_prediction_mm):
        assert sorted(directed.tolist()) == [0, 0, 0, 0, 1, 3, 3, 3]
    assert hausdorff_mm(distances) == 3.0
    assert hd95_mm(distances) == 3.0
    assert assd_mm(distances) == pytest.approx(10 / 8)
    assert [surface_dice(distances, t) for t in (0.5, 1.0, 2.0, 3.0)] == [0.5, 0.625, 0.625, 1.0]


@pytest.mark.parametrize(("axis", "steps", "expected_mm"), [(0, 1, 9.0), (1, 2, 3.0), (2, 2, 2.5), (2, 3, 3.75)])
def test_shifted_box_is_as_far_as_its_shift(axis, steps, expected_mm) -> None:
    reference = _mask((8, 16, 16), [(2, 5), (4, 11), (4, 11)])
    distances = surface_distances(np.roll(reference, steps, axis=axis), reference, SPACING_MM)
    assert hausdorff_mm(distances) == pytest.approx(expected_mm, rel=1e-12)


def test_missed_slice_is_one_slice_distance_away() -> None:
    reference = _mask((6, 12, 12), [(1, 5), (2, 10), (2, 10)])
    prediction = reference.copy()
    prediction[1] = False
    assert hausdorff_mm(surface_distances(prediction, reference, (10.0, 1.5, 1.5))) == pytest.approx(10.0)
    per_slice = contour_distances(prediction, reference, (10.0, 1.5, 1.5))
    np.testing.assert_array_equal([hausdorff_mm(d) for d in per_slice], [math.nan, math.nan, 0.0, 0.0, 0.0, math.nan])


def test_hd95_is_the_larger_directed_percentile_not_the_pooled_one() -> None:
    reference = _mask((1, 3, 21), [(0, 1), (1, 2), (0, 1)])
    prediction = _mask((1, 3, 21), [(0, 1), (1, 2), (0, 21)])  # 0, 2, ..., 40 mm from the one reference voxel
    distances = surface_distances(prediction, reference, (9.0, 1.0, 2.0))
    assert hausdorff_mm(distances) == 40.0
    assert hd95_mm(distances) == pytest.approx(38.0)  # pooled, with the one zero of the way back: 37.9
    assert assd_mm(distances) == pytest.approx(420 / 22)  # pooled; the mean of the two means would be 10
    assert surface_dice(distances, 3.0) == pytest.approx(3 / 22)  # 0 and 2 mm forth, 0 back


def test_tolerance_includes_distances_that_rounding_has_lifted() -> None:
    directed = np.array([0.1 * 3 * 10])  # 3.0000000000000004
    assert directed[0] > 3.0
    distances = SurfaceDistances(prediction_to_reference_mm=directed, reference_to_prediction_mm=directed)
    assert surface_dice(distances, 3.0) == 1.0


@pytest.mark.parametrize("side", ["both", "prediction", "reference"])
def test_empty_mask_has_no_distance(side) -> None:
    box = _mask((3, 5, 5), [(0, 2), (1, 4), (1, 4)])
    prediction = np.zeros_like(box) if side in ("both", "prediction") else box
    reference = np.zeros_like(box) if side in ("both", "reference") else box
    distances = surface_distances(prediction, reference, SPACING_MM)
    assert all(math.isnan(value) for value in _all_measures(distances))


def test_identical_masks_are_at_distance_zero() -> None:
    mask = _blob(0)
    assert _all_measures(surface_distances(mask, mask, SPACING_MM)) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def test_masks_are_not_changed_and_order_does_not_matter() -> None:
    a, b = _blob(1), _blob(2)
    before = a.copy(), b.copy()
    assert _all_measures(surface_distances(a, b, SPACING_MM)) == pytest.approx(
        _all_measures(surface_distances(b, a, SPACING_MM)), rel=1e-12
    )
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_distances_equal_those_of_all_pairs_of_points(seed) -> None:
    a, b = _blob(seed), _blob(seed + 1)
    cross = ndimage.generate_binary_structure(3, 1)
    points = [np.argwhere(m & ~ndimage.binary_erosion(m, cross)) * np.array(SPACING_MM) for m in (a, b)]
    pairs = cdist(*points)
    distances = surface_distances(a, b, SPACING_MM)
    np.testing.assert_allclose(distances.prediction_to_reference_mm, pairs.min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(distances.reference_to_prediction_mm, pairs.min(axis=0), rtol=1e-12)
    pooled = np.concatenate((pairs.min(axis=1), pairs.min(axis=0)))
    assert hausdorff_mm(distances) == pytest.approx(pooled.max(), rel=1e-12)
    assert assd_mm(distances) == pytest.approx(pooled.mean(), rel=1e-12)


@pytest.mark.parametrize("seed", [4, 14])
def test_distances_equal_simpleitk_s_contours_and_distance_maps(seed) -> None:
    masks = _blob(seed), _blob(seed + 1)
    images = []
    for mask in masks:
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(SPACING_MM[::-1])
        images.append(sitk.LabelContour(image, fullyConnected=False))
    contours = [sitk.GetArrayFromImage(image) > 0 for image in images]
    maps = [np.abs(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(i, False, False, True))) for i in images]
    distances = surface_distances(*masks, SPACING_MM)
    np.testing.assert_allclose(distances.prediction_to_reference_mm, maps[1][contours[0]], rtol=1e-5)
    np.testing.assert_allclose(distances.reference_to_prediction_mm, maps[0][contours[1]], rtol=1e-5)
    theirs = sitk.HausdorffDistanceImageFilter()
    theirs.Execute(*images)
    assert hausdorff_mm(distances) == pytest.approx(theirs.GetHausdorffDistance(), rel=1e-5)


def test_shapes_and_spacings_must_fit() -> None:
    mask = np.ones((2, 3, 4), dtype=bool)
    with pytest.raises(ValueError, match="spacing per axis"):
        surface_distances(mask, mask, (1.0, 1.0))
    with pytest.raises(ValueError, match="one shape"):
        surface_distances(mask, mask[:1], (1.0, 1.0, 1.0))

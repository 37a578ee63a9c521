"""Preprocessing and back: labels, logits and slices return to where they came from."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax

from autolv.core.geometry import Geometry, Volume
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.ops.crop import crop
from autolv.preprocessing.forward import preprocess_image, preprocess_labels
from autolv.preprocessing.inverse import foreground_box, on_whole_grid, restore_labels, restore_logits, restore_part
from autolv.schema.plan import Preprocessing
from autolv.schema.preprocessed import Grid


def block(in_plane_mm, slice_mm=None, label_order=1) -> Preprocessing:
    return Preprocessing(
        in_plane_spacing_mm=(in_plane_mm, in_plane_mm),
        slice_spacing_mm=slice_mm,
        normalisation="zscore",
        image_order=3,
        label_order=label_order,
        crop_to_nonzero=True,
    )


def a_heart(shape, spacing_mm) -> np.ndarray:
    """Return a tapering heart: 1 cavity (radius 25 mm at the base), 2 wall of 10 mm, 3 right ventricle of 45 mm."""
    z, y, x = (mm * (np.arange(n) + 0.5 - n / 2) for n, mm in zip(shape, spacing_mm, strict=True))
    taper = np.sqrt(np.clip(1 - (z / (0.6 * spacing_mm[0] * shape[0])) ** 2, 0.05, 1))[:, None, None]
    from_axis = np.hypot(y[:, None], x[None, :])[None]
    labels = np.zeros(shape, dtype=np.uint8)
    labels[np.hypot(y[:, None], x[None, :] + 30)[None] < 45 * taper] = 3
    labels[from_axis < 35 * taper] = 2
    labels[from_axis < 25 * taper] = 1
    labels[[0, -1]] = 0
    return labels


def an_image(labels, spacing_mm) -> Volume:
    values = np.array([60, 200, 90, 190], dtype=np.float32)[labels]
    values += np.random.default_rng(0).normal(0, 5, size=labels.shape).astype(np.float32)
    values[:, :3] = 0  # a border to crop
    return Volume(array=values, geometry=Geometry.from_spacing(spacing_mm, labels.shape))


def dice(a, b) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def a_grid(original, box, shape) -> Grid:
    return Grid(
        original_shape=original,
        original_spacing_mm=(8.0, 1.5, 1.5),
        box=box,
        shape=shape,
        spacing_mm=(8.0, 1.5, 1.5),
        clip=None,
        mean=0.0,
        sd=1.0,
    )


@pytest.mark.parametrize(("slice_mm", "slices"), [(10.0, 9), (5.0, 18)])
@pytest.mark.parametrize(("old_mm", "new_mm"), [(1.37, 1.5625), (1.68, 1.25), (1.5625, 1.5625)])
def test_labels_return_to_their_grid(old_mm, new_mm, slice_mm, slices):
    spacing = (slice_mm, old_mm, old_mm)
    labels = a_heart((slices, 130, 117), spacing)
    _, grid = preprocess_image(an_image(labels, spacing), block(new_mm))
    assert grid.shape[0] == slices
    assert grid.box[1][0] == 3
    back = restore_labels(preprocess_labels(labels, grid, 4), grid)
    assert back.shape == labels.shape
    for structure in (1, 2, 3):
        assert dice(back == structure, labels == structure) >= 0.98
    # no slice took the labels of another
    per_slice = (labels > 0).sum(axis=(1, 2))
    np.testing.assert_allclose((back > 0).sum(axis=(1, 2)), per_slice, rtol=0.03)
    assert len(set(per_slice[1 : slices // 2].tolist())) == slices // 2 - 1


def test_labels_by_the_nearest_voxel_return_too():
    spacing = (8.0, 1.37, 1.37)
    labels = a_heart((9, 130, 117), spacing)
    _, grid = preprocess_image(an_image(labels, spacing), block(1.25, label_order=0))
    back = restore_labels(preprocess_labels(labels, grid, 4, 0), grid, 0)
    assert min(dice(back == c, labels == c) for c in (1, 2, 3)) >= 0.97


@pytest.mark.parametrize("slice_mm", [5.0, 4.0])  # thick, thus repeated; thin, thus interpolated
def test_resampled_slices_return_to_their_number(slice_mm):
    spacing = (slice_mm, 1.5, 1.5)
    labels = a_heart((16, 100, 100), spacing)
    _, grid = preprocess_image(an_image(labels, spacing), block(1.5, slice_mm=slice_mm / 2))
    assert grid.shape[0] == 32
    back = restore_labels(preprocess_labels(labels, grid, 4), grid)
    assert back.shape == labels.shape
    assert min(dice(back == c, labels == c) for c in (1, 2, 3)) >= 0.98


@pytest.mark.parametrize("spacing", [(10.0, 1.5625, 1.5625), (8.7, 1.68, 1.68), (5.0, 1.37, 1.37)])
def test_a_phantom_returns_from_1_mm_along_all_axes(spacing):
    """Labels, and logits that say the same, keep a Dice of 0.999 on the stack's own grid, in every slice."""
    phantom = make_phantom(0, PhantomSpec(spacing_mm=spacing), frames="ends")
    for image, labels in zip(phantom.image, phantom.labels, strict=True):
        _, grid = preprocess_image(Volume(array=image, geometry=phantom.geometry), block(1.0, slice_mm=1.0))
        np.testing.assert_allclose(grid.spacing_mm, 1.0, rtol=0.01)
        fine = preprocess_labels(labels, grid, 4)
        logits = np.stack([np.where(fine == c, 5.0, -5.0).astype(np.float32) for c in range(4)])
        for back in (restore_labels(fine, grid), labels_from_foreground(logits, grid)):
            assert min(dice(back == c, labels == c) for c in (1, 2, 3)) >= 0.999
            np.testing.assert_allclose((back > 0).sum(axis=(1, 2)), (labels > 0).sum(axis=(1, 2)), atol=2)


def test_labels_without_resampling_return_exactly():
    labels = a_heart((6, 60, 60), (10.0, 2.0, 2.0))
    _, grid = preprocess_image(an_image(labels, (10.0, 2.0, 2.0)), block(2.0))
    inside = labels.copy()
    inside[:, :3] = 0
    np.testing.assert_array_equal(restore_labels(preprocess_labels(labels, grid, 4), grid), inside)


def labels_from_foreground(logits, grid) -> np.ndarray:
    """Return the labels that the logits' foreground box alone gives."""
    box = foreground_box(logits)
    probabilities, where = restore_part(crop(logits, box), box, grid)
    labels = np.zeros(grid.original_shape, dtype=np.uint8)
    crop(labels, where)[...] = probabilities.argmax(axis=0)
    return labels


def test_logits_on_the_same_grid_become_their_softmax():
    logits = np.random.default_rng(0).normal(0, 4, size=(4, 3, 5, 6)).astype(np.float32)
    before = logits.copy()
    grid = a_grid((5, 9, 8), ((1, 4), (2, 7), (1, 7)), (3, 5, 6))
    result = restore_logits(logits, grid)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[:, 1:4, 2:7, 1:7], softmax(logits, axis=0), atol=1e-6)
    outside = np.ones((5, 9, 8), dtype=bool)
    outside[1:4, 2:7, 1:7] = False
    assert (result[0][outside] == 1).all()
    assert (result[1:, outside] == 0).all()
    np.testing.assert_array_equal(logits, before)


def test_probabilities_sum_to_one_and_survive_large_logits():
    logits = np.random.default_rng(0).normal(0, 4000, size=(4, 3, 5, 6)).astype(np.float32)
    result = restore_logits(logits, a_grid((4, 13, 9), ((0, 4), (1, 12), (0, 9)), (3, 5, 6)))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result.sum(axis=0), 1.0, atol=1e-5)


def test_constant_logits_give_a_constant_probability():
    logits = np.broadcast_to(np.array([0.5, -1.0, 2.0], dtype=np.float32)[:, None, None, None], (3, 4, 5, 6))
    result = restore_logits(logits, a_grid((7, 11, 8), ((0, 7), (0, 11), (0, 8)), (4, 5, 6)))
    expected = softmax(np.array([0.5, -1.0, 2.0]))
    np.testing.assert_allclose(result, np.broadcast_to(expected[:, None, None, None], result.shape), atol=1e-6)


def test_interpolation_by_hand_along_x_and_z():
    # two samples to four: weights 1, 3/4, 1/4, 0
    logits = np.zeros((2, 2, 1, 2), dtype=np.float32)
    logits[1, 0, 0] = [0.0, 4.0]
    logits[1, 1, 0] = [8.0, 12.0]
    result = restore_logits(logits, a_grid((4, 1, 4), ((0, 4), (0, 1), (0, 4)), (2, 1, 2)))
    difference = np.log(result[1] / result[0])[:, 0]
    expected = np.array([0.0, 2.0, 6.0, 8.0])[:, None] + np.array([0.0, 1.0, 3.0, 4.0])[None, :]
    np.testing.assert_allclose(difference, expected, atol=2e-3)


@pytest.mark.parametrize("seed", range(5))
def test_labels_from_the_foreground_are_the_most_probable_class(seed):
    rng = np.random.default_rng(seed)
    small = rng.normal(0, 3, size=(4, 4, 12, 10)).astype(np.float32)
    small[0] += 4  # mostly background
    grid = a_grid((6, 30, 25), ((1, 5), (2, 26), (0, 24)), (4, 12, 10))
    expected = restore_logits(small, grid).argmax(axis=0)
    result = labels_from_foreground(small, grid)
    assert result.dtype == np.uint8
    assert 0 < (result > 0).mean() < 0.9
    np.testing.assert_array_equal(result, expected)


def test_labels_from_the_foreground_with_slices_resampled_match_too():
    small = np.random.default_rng(1).normal(0, 3, size=(3, 8, 12, 10)).astype(np.float32)
    grid = a_grid((5, 20, 17), ((0, 5), (0, 20), (0, 17)), (8, 12, 10))
    np.testing.assert_array_equal(labels_from_foreground(small, grid), restore_logits(small, grid).argmax(axis=0))


def test_background_everywhere_gives_no_label():
    logits = np.zeros((3, 2, 4, 4), dtype=np.float32)
    logits[0] = 1
    result = labels_from_foreground(logits, a_grid((2, 9, 9), ((0, 2), (0, 9), (0, 9)), (2, 4, 4)))
    assert not result.any()


def test_a_tie_goes_to_the_lower_class():
    logits = np.zeros((3, 1, 2, 2), dtype=np.float32)
    logits[1:] = 1
    result = labels_from_foreground(logits, a_grid((1, 2, 2), ((0, 1), (0, 2), (0, 2)), (1, 2, 2)))
    assert (result == 1).all()


def test_logits_of_another_shape_are_refused():
    grid = a_grid((2, 9, 9), ((0, 2), (0, 9), (0, 9)), (2, 4, 4))
    with pytest.raises(ValueError, match=r"logits must be \(classes, 2, 4, 4\)"):
        restore_logits(np.zeros((3, 2, 4, 5), dtype=np.float32), grid)
    with pytest.raises(ValueError, match="labels must have shape"):
        restore_labels(np.zeros((2, 4, 5), dtype=np.uint8), grid)


def test_memory_stays_near_the_output_of_a_large_stack():
    logits = np.random.default_rng(0).normal(size=(4, 18, 128, 128)).astype(np.float32)
    logits[0] += 2
    grid = a_grid((18, 512, 512), ((0, 18), (0, 512), (0, 512)), (18, 128, 128))
    tracemalloc.start()
    probabilities = restore_logits(logits, grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slice_bytes = 4 * 512 * 512 * 4
    assert probabilities.nbytes == 18 * slice_bytes
    assert peak < probabilities.nbytes + 6 * slice_bytes


def test_labels_from_the_foreground_of_a_small_heart_match_in_every_corner():
    for corner in ((0, 0, 0), (1, 4, 3), (2, 9, 7)):
        logits = np.random.default_rng(0).normal(0, 1, size=(3, 4, 12, 10)).astype(np.float32)
        logits[0] += 9
        z, y, x = corner
        logits[1, z : z + 2, y : y + 3, x : x + 3] += 14
        grid = a_grid((7, 40, 25), ((1, 6), (3, 34), (2, 25)), (4, 12, 10))
        result = labels_from_foreground(logits, grid)
        assert 0 < (result > 0).mean() < 0.2
        np.testing.assert_array_equal(result, restore_logits(logits, grid).argmax(axis=0))


@pytest.mark.parametrize("original", [(5, 40, 37), (5, 9, 8), (3, 40, 8), (9, 16, 12)])
@pytest.mark.parametrize("box", [((0, 5), (3, 9), (2, 8)), ((0, 5), (0, 9), (5, 12)), ((1, 3), (4, 5), (0, 12))])
def test_a_part_is_what_the_whole_gives_with_a_sure_background_about_it(original, box):
    part = np.random.default_rng(0).normal(0, 3, size=(4, *(stop - start for start, stop in box))).astype(np.float32)
    grid = a_grid(original, tuple((0, size) for size in original), (5, 16, 12))
    whole = np.zeros((4, *grid.shape), dtype=np.float32)
    whole[0] = 20.0
    crop(whole, box)[...] = part
    probabilities, where = restore_part(part, box, grid)
    expected = restore_logits(whole, grid)
    np.testing.assert_allclose(crop(expected, where), probabilities, atol=1e-6)
    np.testing.assert_allclose(on_whole_grid(probabilities, where, original), expected, atol=1e-6)


def test_a_part_on_the_images_own_grid_costs_its_own_size():
    part = np.zeros((4, 18, 64, 64), dtype=np.float32)
    grid = a_grid((18, 512, 512), ((0, 18), (0, 512), (0, 512)), (18, 512, 512))
    tracemalloc.start()
    restore_part(part, ((0, 18), (100, 164), (200, 264)), grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * part.nbytes  # of the whole it would be 64 times


@pytest.mark.parametrize("original", [(3, 12, 9), (3, 2, 9)])  # of 2 rows, none has a share in the first of 6
def test_no_foreground_is_a_part_of_background(original):
    logits = np.zeros((4, 3, 6, 5), dtype=np.float32)
    logits[0] = 1.0
    box = foreground_box(logits)
    grid = a_grid(original, tuple((0, size) for size in original), (3, 6, 5))
    probabilities, where = restore_part(crop(logits, box), box, grid)
    assert (probabilities.argmax(axis=0) == 0).all()
    whole = on_whole_grid(probabilities, where, original)
    assert (whole.argmax(axis=0) == 0).all()
    np.testing.assert_allclose(whole.sum(axis=0), 1.0, atol=1e-6)

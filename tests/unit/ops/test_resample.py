"""Resampling by matrix products against scipy's zoom and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from autolv.ops.resample import linear_window, nearest_window, resample, resample_labels, spline_matrix

SIZES = [(216, 190), (190, 216), (10, 19), (19, 10), (7, 8), (2, 9), (3, 1), (1, 4), (5, 5)]


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_matrix_is_scipys_zoom_with_edge_values_and_pixel_areas(n_in, n_out, order):
    line = np.random.default_rng(n_in).normal(size=n_in)
    expected = ndimage.zoom(line, n_out / n_in, order=order, mode="nearest", grid_mode=True)
    assert expected.shape == (n_out,)
    np.testing.assert_allclose(spline_matrix(n_in, n_out, order) @ line, expected, atol=1e-6)


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_constant_in_constant_out(n_in, n_out, order):
    np.testing.assert_allclose(spline_matrix(n_in, n_out, order).sum(axis=1), 1.0, atol=1e-6)


def test_linear_matrix_by_hand():
    # the centres of three samples lie at 0.1667, 1.5 and 2.8333 on the axis of four
    expected = [[5 / 6, 1 / 6, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1 / 6, 5 / 6]]
    np.testing.assert_allclose(spline_matrix(4, 3, 1), expected, atol=1e-6)
    np.testing.assert_allclose(spline_matrix(2, 4, 1), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], atol=1e-6)


def test_equal_sizes_give_the_identity_and_the_cached_matrix_cannot_be_changed():
    matrix = spline_matrix(6, 6, 3)
    np.testing.assert_array_equal(matrix, np.eye(6))
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 2


def test_a_linear_ramp_stays_a_linear_ramp_away_from_the_edges():
    ramp = np.arange(64, dtype=np.float32)
    for order in (1, 3):
        resampled = resample(ramp, (40,), order)
        expected = (np.arange(40) + 0.5) * 64 / 40 - 0.5
        np.testing.assert_allclose(resampled[10:-10], expected[10:-10], atol=1e-4)


@pytest.mark.parametrize(("n_in", "n_out"), [(0, 3), (3, 0)])
def test_sizes_must_be_positive(n_in, n_out):
    with pytest.raises(ValueError, match="positive"):
        spline_matrix(n_in, n_out, 1)


def test_other_orders_are_refused():
    with pytest.raises(ValueError, match="order must be 0, 1 or 3"):
        spline_matrix(3, 3, 2)


def test_resample_works_axis_by_axis_with_an_order_each():
    volume = np.random.default_rng(0).normal(size=(2, 5, 12, 9)).astype(np.float32)
    before = volume.copy()
    result = resample(volume, (7, 10, 11), (1, 3, 3))
    expected = volume.astype(np.float64)
    for axis, size, order in ((1, 7, 1), (2, 10, 3), (3, 11, 3)):
        matrix = spline_matrix(volume.shape[axis], size, order).astype(np.float64)
        expected = np.moveaxis(np.tensordot(matrix, expected, axes=(1, axis)), 0, axis)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_array_equal(volume, before)


def test_resample_to_the_same_size_copies():
    volume = np.ones((2, 3, 4), dtype=np.float32)
    result = resample(volume, (3, 4), 3)
    result[:] = 0
    assert volume.all()


def test_resample_refuses_a_wrong_number_of_orders_or_axes():
    with pytest.raises(ValueError, match="one order"):
        resample(np.ones((3, 4)), (3, 4), (1, 1, 1))
    with pytest.raises(ValueError, match="cannot resample"):
        resample(np.ones((3, 4)), (3, 4, 5), 1)


def test_labels_a_tie_goes_to_the_lower_class():
    # 4 to 2 samples: each new one lies midway between two old ones, half and half
    labels = np.array([[2, 1, 0, 3]], dtype=np.uint8)
    np.testing.assert_array_equal(resample_labels(labels, (1, 2), 4), [[1, 0]])


def test_labels_tie_of_seven_eighths_zoom_is_not_left_to_rounding():
    # 8 to 7 samples: the middle one lies at 3.5, halfway from 0 to 2
    labels = np.array([0, 0, 0, 0, 2, 2, 2, 2], dtype=np.uint8)
    np.testing.assert_array_equal(resample_labels(labels, (7,), 3), [0, 0, 0, 0, 2, 2, 2])
    np.testing.assert_array_equal(resample_labels(labels[::-1], (7,), 3), [2, 2, 2, 0, 0, 0, 0])


def test_labels_match_argmax_of_interpolated_channels():
    rng = np.random.default_rng(3)
    labels = np.zeros((3, 40, 36), dtype=np.uint8)
    labels[1:, 5:30, 8:31] = 1
    labels[1:, 10:24, 13:25] = rng.integers(0, 4, size=(2, 14, 12))
    result = resample_labels(labels, (33, 31), 4)
    shares = np.stack([resample(labels == c, (33, 31), 1) for c in range(4)])
    ordered = np.sort(shares, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(result[clear], shares.argmax(axis=0)[clear])
    assert result.shape == (3, 33, 31)
    assert not result[0].any()


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("value", [0, 3])
def test_labels_constant_in_constant_out(order, value):
    labels = np.full((2, 9, 7), value, dtype=np.uint8)
    result = resample_labels(labels, (12, 5), 4, order)
    assert result.shape == (2, 12, 5)
    assert (result == value).all()


def test_labels_order_zero_takes_the_nearest_and_never_mixes():
    labels = np.array([[0, 3, 1, 2]], dtype=np.uint8)
    np.testing.assert_array_equal(resample_labels(labels, (1, 8), 4, 0), [[0, 0, 3, 3, 1, 1, 2, 2]])
    np.testing.assert_array_equal(resample_labels(labels, (1, 2), 4, 0), [[3, 2]])


def test_labels_beyond_the_classes_or_of_another_order_are_refused():
    with pytest.raises(ValueError, match="below 3"):
        resample_labels(np.full((2, 2), 3, dtype=np.uint8), (2, 2), 3)
    with pytest.raises(ValueError, match="0 or 1"):
        resample_labels(np.zeros((2, 2), dtype=np.uint8), (2, 2), 3, 3)


def test_labels_windowing_changes_nothing():
    rng = np.random.default_rng(5)
    labels = np.zeros((2, 50, 44), dtype=np.uint8)
    labels[0, 20:33, 11:20] = rng.integers(0, 3, size=(13, 9))
    for shape in ((61, 40), (45, 53), (20, 18), (3, 50, 50), (1, 20, 44)):
        ours = resample_labels(labels, shape, 3)
        shares = np.stack([resample(labels == c, shape, 1) for c in range(3)])
        expected = np.where(shares[1] > shares[0] + 1e-5, 1, 0)
        expected = np.where(shares[2] > np.maximum(shares[0], shares[1]) + 1e-5, 2, expected)
        np.testing.assert_array_equal(ours, expected)


def test_a_window_holds_all_that_an_input_sample_has_a_share_in():
    matrix = spline_matrix(10, 14, 1)
    window = linear_window(10, 14, 3, 5)
    assert window is not None
    outside = np.delete(matrix, np.arange(14)[window.target], axis=0)
    assert not outside[:, 3:5].any()
    line = np.random.default_rng(0).normal(size=10).astype(np.float32)
    np.testing.assert_allclose(window.matrix @ line[window.source], (matrix @ line)[window.target], atol=1e-6)


def test_a_window_of_nearest_samples_by_hand():
    # 4 to 8 samples repeat each twice: input 1 and 2 are outputs 2 to 5
    window = nearest_window(4, 8, 1, 3)
    assert window is not None
    assert (window.target, window.source) == (slice(2, 6), slice(1, 3))
    np.testing.assert_array_equal(window.matrix, [[1, 0], [1, 0], [0, 1], [0, 1]])
    assert nearest_window(8, 4, 0, 1) is None  # 8 to 4 takes the higher of each two: 1, 3, 5, 7


def test_a_sample_that_shrinking_passes_over_has_no_window():
    # 9 to 3 samples: the new ones lie exactly on the old 1, 4 and 7
    assert linear_window(9, 3, 2, 4) is None
    labels = np.zeros((1, 9), dtype=np.uint8)
    labels[0, 2] = 1
    assert not resample_labels(labels, (1, 3), 2).any()


@pytest.mark.parametrize(("n_in", "n_out"), [(256, 216), (232, 271), (154, 154 * 2), (512, 130), (5, 9), (2, 3)])
def test_the_cubic_matrix_made_in_one_piece_is_scipys_zoom_of_each_unit_vector(n_in, n_out):
    columns = [ndimage.zoom(unit, n_out / n_in, order=3, mode="nearest", grid_mode=True) for unit in np.eye(n_in)]
    np.testing.assert_allclose(spline_matrix(n_in, n_out, 3), np.stack(columns, axis=1), rtol=1e-7, atol=1e-12)


def test_slices_are_resampled_as_by_scipys_cubic_zoom_of_both_axes():
    slices = np.random.default_rng(1).normal(size=(2, 60, 45)).astype(np.float32)
    expected = [
        ndimage.zoom(one.astype(np.float64), (72 / 60, 50 / 45), order=3, mode="nearest", grid_mode=True)
        for one in slices
    ]
    np.testing.assert_allclose(resample(slices, (72, 50), 3), expected, atol=1e-5)


def test_a_constant_slice_stays_constant_up_to_its_edges():
    np.testing.assert_allclose(resample(np.full((1, 33, 20), 700.0), (29, 41), 3), 700.0, rtol=1e-6)

"""Windows cover the axis evenly; weighted accumulation gives back a constant up to the border."""

import numpy as np
import pytest

from autolv.ops.tiling import gaussian_window, nnunet_window, window_starts


def test_starts_by_hand():
    assert window_starts(10, 10) == (0,)
    assert window_starts(7, 10) == (0,)
    assert window_starts(20, 10) == (0, 5, 10)
    assert window_starts(21, 10) == (0, 4, 7, 11)  # 11 / 3 = 3.67 apart
    assert window_starts(20, 10, 1.0) == (0, 10)
    assert window_starts(21, 10, 1.0) == (0, 6, 11)
    assert window_starts(131, 9)[21] == 91  # 122 / 28 * 21 is a little below 91.5 in floating point, as nnU-Net has it


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("window", [1, 2, 7, 16])
def test_starts_cover_each_axis_evenly(window, fraction):
    for size in range(1, 60):
        starts = window_starts(size, window, fraction)
        assert starts[0] == 0
        assert starts[-1] == max(0, size - window)
        gaps = np.diff(starts)
        assert (gaps >= 1).all()
        assert (gaps <= max(1, np.ceil(window * fraction))).all()
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(("size", "window", "fraction"), [(0, 3, 0.5), (3, 0, 0.5), (3, 3, 0.0), (3, 3, 1.5)])
def test_starts_refuse_what_cannot_cover(size, window, fraction):
    with pytest.raises(ValueError, match=r"positive|step_fraction"):
        window_starts(size, window, fraction)


def test_gaussian_by_hand():
    weights = gaussian_window((8,))
    # sigma 1: samples at -3.5 .. 3.5
    np.testing.assert_allclose(weights, np.exp(-0.5 * (np.arange(8) - 3.5) ** 2), rtol=1e-6)


def test_nnunets_weights_by_hand():
    # sigma 1 and 5 / 8: samples at -4 .. 3, and, an odd side having a voxel in its middle, the same as about the centre
    weights = nnunet_window((8,))
    assert weights.dtype == np.float16
    np.testing.assert_array_equal(weights, np.float16(10 * np.exp(-0.5 * (np.arange(8) - 4.0) ** 2)))
    np.testing.assert_array_equal(nnunet_window((5,)), np.float16(10 * gaussian_window((5,)).astype(float)))
    # three axes: 10 exp(-24) = 4e-10 at the corner, where half precision ends at 2 ** -24 = 6e-8
    deep = nnunet_window((8, 16, 16))
    assert deep[4, 8, 8] == 10
    assert deep[0, 0, 0] == deep.min() == 2.0**-24
    with pytest.raises(ValueError, match="read-only"):
        deep[0, 0, 0] = 0


@pytest.mark.parametrize("window", [(1,), (1, 3), (256, 224), (18, 320, 320), (20, 3, 512)])
def test_gaussian_is_positive_symmetric_and_largest_in_the_middle(window):
    weights = gaussian_window(window)
    assert weights.shape == window
    assert weights.dtype == np.float32
    assert weights.min() > 1e-12
    np.testing.assert_array_equal(weights, np.flip(weights))
    assert weights[tuple(n // 2 for n in window)] == weights.max() <= 1.0


def test_gaussian_is_shared_and_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        gaussian_window((4, 4))[0, 0] = 1


def test_constant_in_constant_out_to_the_border():
    shape, window = (5, 37, 41), (4, 16, 16)
    weights = gaussian_window(window)
    total, mass = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for z in window_starts(shape[0], window[0]):
        for y in window_starts(shape[1], window[1]):
            for x in window_starts(shape[2], window[2]):
                place = (slice(z, z + window[0]), slice(y, y + window[1]), slice(x, x + window[2]))
                total[place] += weights * np.float32(3.7)
                mass[place] += weights
    assert mass.min() > 0
    np.testing.assert_allclose(total / mass, 3.7, rtol=1e-5)

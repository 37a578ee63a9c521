"""Normalisation by hand, and its guards."""

import numpy as np
import pytest

from autolv.ops.normalise import percentile_zscore, zscore


def test_zscore_by_hand():
    values = np.array([1.0, 3.0, 5.0, 7.0], dtype=np.float32)
    before = values.copy()
    result = zscore(values)
    # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    assert result.mean == 4.0
    assert result.sd == pytest.approx(np.sqrt(5))
    assert result.clip is None
    np.testing.assert_allclose(result.array, [-3 / 5**0.5, -1 / 5**0.5, 1 / 5**0.5, 3 / 5**0.5], rtol=1e-6)
    assert result.array.dtype == np.float32
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("value", [0.0, 1000.1, -3e7])
def test_a_constant_becomes_zero_not_noise(value):
    result = zscore(np.full((3, 50, 50), value, dtype=np.float32))
    assert result.sd == 1.0
    assert np.abs(result.array).max() < 1e-3


def test_large_volumes_do_not_lose_the_mean_to_rounding():
    values = np.full(4_000_000, 1000.1, dtype=np.float32)
    values[::2] += 1.0
    result = zscore(values)
    assert result.mean == pytest.approx(1000.6, abs=1e-3)
    assert result.sd == pytest.approx(0.5, rel=1e-3)


def test_percentile_zscore_clips_outliers():
    values = np.arange(1001, dtype=np.float32)
    values[-1] = 1e6
    result = percentile_zscore(values)
    # 0.5 % and 99.5 % of 1000 steps
    assert result.clip == (5.0, 995.0)
    clipped = np.clip(np.arange(1001, dtype=np.float64), 5, 995)
    assert result.mean == pytest.approx(clipped.mean())
    assert result.sd == pytest.approx(clipped.std())
    assert result.array.max() == pytest.approx((995 - clipped.mean()) / clipped.std(), rel=1e-5)


def test_the_record_undoes_it():
    values = np.random.default_rng(0).gamma(2.0, 80.0, size=(4, 20, 20)).astype(np.float32)
    result = zscore(values)
    np.testing.assert_allclose(result.array * result.sd + result.mean, values, rtol=1e-4, atol=1e-3)

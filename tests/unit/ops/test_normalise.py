"""Normalisation by hand, and its guards."""

import numpy as np
import pytest

from autolv.ops.normalise import central_zscore, percentile_zscore, zscore


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


def test_central_zscore_by_hand():
    # 6 mm about the centre: 3 of 5 rows of 2 mm (rows 1 to 3), 2 of 6 columns of 3 mm (columns 2 and 3)
    values = np.full((2, 5, 6), 1000.0, dtype=np.float32)
    values[:, 1:4, 2:4] = [[1.0, 3.0], [5.0, 7.0], [4.0, 4.0]]
    result = central_zscore(values, (2.0, 3.0), 6.0)
    # mean 24 / 6 = 4; variance (9 + 1 + 1 + 9 + 0 + 0) / 6
    assert result.mean == 4.0
    assert result.sd == pytest.approx(np.sqrt(20 / 6))
    assert result.array[0, 1, 2] == pytest.approx(-3 / np.sqrt(20 / 6))
    assert result.array[1, 0, 0] == pytest.approx(996 / np.sqrt(20 / 6))


def test_a_wider_field_of_air_changes_nothing_about_the_centre():
    values = np.random.default_rng(0).gamma(2.0, 80.0, size=(3, 40, 50)).astype(np.float32)
    padded = np.pad(values, ((0, 0), (20, 20), (25, 25)))
    central, wider = (central_zscore(array, (2.0, 2.0), 60.0).array for array in (values, padded))
    np.testing.assert_array_equal(wider[:, 20:60, 25:75], central)
    assert abs(zscore(padded).array[:, 20:60, 25:75] - zscore(values).array).max() > 0.5


def test_a_field_narrower_than_the_centre_counts_as_a_whole():
    values = np.random.default_rng(0).gamma(2.0, 80.0, size=(3, 10, 12)).astype(np.float32)
    np.testing.assert_array_equal(central_zscore(values, (2.0, 2.0), 160.0).array, zscore(values).array)

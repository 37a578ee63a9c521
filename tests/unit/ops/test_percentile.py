"""Percentiles are numpy's, bit for bit."""

import numpy as np
import pytest

from autolv.ops.percentile import percentile_of, percentiles_of


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 20, 101, 9999])
def test_they_are_numpys_of_the_values_in_double_precision(dtype, size):
    values = (np.random.default_rng(size).normal(size=size) * 300).astype(dtype)
    percents = (0.0, 0.5, 50.0, 95.0, 99.5, 100.0)
    before = values.copy()
    expected = np.percentile(values.astype(np.float64), percents)
    assert percentiles_of(values, percents) == tuple(expected.tolist())
    np.testing.assert_array_equal(values, before)


def test_by_hand_and_of_a_constant():
    assert percentile_of(np.array([4.0, 1.0, 3.0, 2.0]), 50.0) == 2.5
    assert percentile_of(np.array([10.0, 0.0]), 95.0) == 9.5
    assert percentiles_of(np.full(7, 3.25), (1.0, 99.0)) == (3.25, 3.25)


def test_of_nothing_there_is_none():
    with pytest.raises(ValueError, match="no value"):
        percentile_of(np.empty(0), 50.0)

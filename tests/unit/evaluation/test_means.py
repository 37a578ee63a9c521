"""Means that pass over NaN."""

from __future__ import annotations

import math

import numpy as np

from autolv.evaluation.means import mean


def test_undefined_values_are_left_out() -> None:
    assert mean([1.0, math.nan, 4.0]) == 2.5


def test_constant_in_constant_out() -> None:
    assert mean([0.7, 0.7, math.nan]) == 0.7


def test_no_defined_value_has_no_mean() -> None:
    assert math.isnan(mean([]))
    assert math.isnan(mean([math.nan, math.nan]))


def test_it_is_numpys_mean_of_the_defined_values_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 7, 8, 129, 1000):
        table = rng.normal(size=(size, 3))
        table[rng.random(table.shape) < 0.1] = math.nan
        for column in (*table.T, rng.normal(size=size)):
            defined = column[~np.isnan(column)]
            assert mean(column) == defined.mean() if defined.size else math.isnan(mean(column))
    assert math.isinf(mean([math.inf, 1.0]))

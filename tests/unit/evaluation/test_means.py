"""Means that pass over NaN."""

from __future__ import annotations

import math

from autolv.evaluation.means import mean


def test_undefined_values_are_left_out() -> None:
    assert mean([1.0, math.nan, 4.0]) == 2.5


def test_constant_in_constant_out() -> None:
    assert mean([0.7, 0.7, math.nan]) == 0.7


def test_no_defined_value_has_no_mean() -> None:
    assert math.isnan(mean([]))
    assert math.isnan(mean([math.nan, math.nan]))

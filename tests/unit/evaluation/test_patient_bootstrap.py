"""Intervals by patient bootstrap: exact cases, and coverage on clustered data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.bootstrap import mean_interval, paired_difference_interval

PATIENTS = [f"p{i}" for i in range(12) for _ in range(2)]  # two frames each


def _clustered(rng, patients, frames=2, between=1.0, within=0.4):
    values = rng.normal(0.0, between, patients)[:, None] + rng.normal(0.0, within, (patients, frames))
    return values.ravel(), [str(i) for i in range(patients) for _ in range(frames)]


def test_constant_in_constant_out() -> None:
    assert mean_interval(np.full(24, 0.9), PATIENTS) == pytest.approx((0.9, 0.9), rel=1e-12)
    assert mean_interval(np.full((24, 3), 0.9), PATIENTS) == pytest.approx((0.9, 0.9), rel=1e-12)


def test_same_seed_same_interval_and_another_seed_nearly() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.05, 24)
    first = mean_interval(values, PATIENTS, seed=3)
    assert mean_interval(values, PATIENTS, seed=3) == first
    other = mean_interval(values, PATIENTS, seed=4)
    assert other != first
    assert other == pytest.approx(first, abs=0.01)


def test_order_of_the_cases_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    values, order = rng.normal(0.9, 0.05, 24), rng.permutation(24)
    shuffled = mean_interval(values[order], [PATIENTS[i] for i in order])
    assert shuffled == pytest.approx(mean_interval(values, PATIENTS), rel=1e-12)


def test_copies_of_a_frame_add_no_certainty() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.05, 12)
    names = [f"p{i}" for i in range(12)]
    assert mean_interval(np.repeat(values, 2), PATIENTS) == pytest.approx(mean_interval(values, names), rel=1e-12)


def test_two_patients_span_their_values() -> None:
    # with one degree of freedom the expanded percentile interval is the range of the bootstrap means
    assert mean_interval([0.8, 0.9], ["a", "b"]) == pytest.approx((0.8, 0.9))


def test_patients_weigh_by_their_defined_values() -> None:
    # the mean over cases: patient a has two, b one; resamples give aa 1, ab 2/3, bb 0
    lower, upper = mean_interval([1.0, 1.0, 0.0, math.nan], ["a", "a", "b", "b"])
    assert (lower, upper) == pytest.approx((0.0, 1.0))


def test_structures_are_averaged_after_cases() -> None:
    # the columns' means are 1 and 0 in every resample; all values pooled would have a mean of 3/4
    table = [[1.0, 0.0], [1.0, math.nan], [1.0, math.nan]] * 2
    assert mean_interval(table, ["a", "a", "a", "b", "b", "b"]) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("values", "patients"),
    [([], []), ([0.9], ["a"]), ([0.9, 0.8], ["a", "a"]), ([0.9, math.nan], ["a", "b"]), ([math.nan] * 2, ["a", "b"])],
)
def test_fewer_than_two_patients_have_no_interval(values, patients) -> None:
    assert all(math.isnan(bound) for bound in mean_interval(values, patients))


def test_values_and_patients_must_go_together() -> None:
    with pytest.raises(ValueError, match="per case"):
        mean_interval([0.1, 0.2], ["a"])
    with pytest.raises(ValueError, match="same cases"):
        paired_difference_interval([0.1, 0.2], [0.1], ["a", "b"])


def test_paired_difference_sees_a_small_constant_gain_in_large_spread() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.2, 24)
    assert paired_difference_interval(values + 0.01, values, PATIENTS) == pytest.approx((0.01, 0.01))
    lower, upper = mean_interval(values, PATIENTS)
    assert upper - lower > 0.05


def test_paired_difference_leaves_out_what_one_side_lacks() -> None:
    a, b = np.full(24, 0.9), np.full(24, 0.8)
    a[0], b[5] = math.nan, math.nan
    b[0], a[5] = 1e6, 1e6
    assert paired_difference_interval(a, b, PATIENTS) == pytest.approx((0.1, 0.1))


def test_swapped_sides_mirror_the_interval() -> None:
    a, b = np.random.default_rng(1).normal(0.8, 0.1, (2, 24))
    lower, upper = paired_difference_interval(a, b, PATIENTS)
    assert paired_difference_interval(b, a, PATIENTS) == pytest.approx((-upper, -lower), rel=1e-9)


@pytest.mark.parametrize("patients", [8, 20])
def test_interval_covers_the_truth_of_clustered_data(patients) -> None:
    rng = np.random.default_rng(7)
    trials, covered, naive = 400, 0, 0
    for trial in range(trials):
        values, names = _clustered(rng, patients)
        lower, upper = mean_interval(values, names, seed=trial, n=500)
        covered += lower <= 0.0 <= upper
        lower, upper = mean_interval(values, [str(i) for i in range(len(values))], seed=trial, n=500)
        naive += lower <= 0.0 <= upper
    # 95 % with a standard error of 1.1 %; frames taken for independent would make the interval too short
    assert 0.915 <= covered / trials <= 0.985
    assert naive / trials < 0.89

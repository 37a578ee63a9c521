"""Agreement of two read-outs: ICC(2,1) worked by hand, intervals by patient, and what is published of readers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.agreement import agreement
from autolv.evaluation.case import compare_case
from autolv.evaluation.patients import READOUT_QUANTITIES
from autolv.evaluation.readers import MEASURES, published, quantity_agreement, readout_agreement


def _case(patient, phase, predicted_ml, reference_ml):
    """A case with these volumes of LV cavity, LV myocardium and RV cavity, in voxels of 1 ml."""
    size = max(sum(predicted_ml), sum(reference_ml), 1)
    maps = []
    for volumes in (predicted_ml, reference_ml):
        labels = np.zeros(size, dtype=np.uint8)
        labels[: sum(volumes)] = np.repeat((1, 2, 3), volumes)
        maps.append(labels.reshape(1, 1, size))
    structures = ("lv_cavity", "lv_myocardium", "rv_cavity")
    return compare_case(*maps, (10.0, 10.0, 10.0), structures, case=f"{patient}_{phase}", patient=patient, phase=phase)


def test_icc_by_hand() -> None:
    # patients (9, 2), (6, 1), (8, 4): means 5.5, 3.5, 6.0 about 5.0; differences 7, 5, 4 about 16/3; columns 23/3 and 7/3
    # MSR = 2 (0.25 + 2.25 + 1) / 2 = 3.5; MSC = 3 ((23/3 - 5)² + (7/3 - 5)²) = 128/3;
    # MSE = ((7 - 16/3)² + (5 - 16/3)² + (4 - 16/3)²) / 2 / 2 = 7/6
    # ICC = (3.5 - 7/6) / (3.5 + 7/6 + 2 (128/3 - 7/6) / 3) = (7/3) / (14/3 + 83/3) = 7/97
    found = quantity_agreement("x", [9.0, 6.0, 8.0], [2.0, 1.0, 4.0])
    assert found.icc.value == pytest.approx(7 / 97)


def test_icc_of_the_paper() -> None:
    """Readers 1 and 3 of the table of Shrout & Fleiss 1979, by the analysis of variance over rows and columns."""
    table = np.array([[9, 5], [6, 3], [8, 6], [7, 2], [10, 6], [6, 4]], dtype=np.float64)
    n, k = table.shape
    grand = table.mean()
    msr = k * ((table.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    msc = n * ((table.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + grand
    mse = (rest**2).sum() / ((n - 1) * (k - 1))
    expected = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    assert quantity_agreement("x", table[:, 0], table[:, 1]).icc.value == pytest.approx(expected, abs=1e-12)


def test_an_offset_lowers_icc_and_not_r() -> None:
    b = np.array([100.0, 120.0, 150.0, 180.0])
    same, moved = quantity_agreement("x", b, b), quantity_agreement("x", b + 40.0, b)
    assert same.icc.value == pytest.approx(1.0)
    assert moved.r.value == pytest.approx(1.0)
    # var(b) = (37.5² + 17.5² + 12.5² + 42.5²) / 3 = 1225: MSR = 2450, MSE = 0, MSC = 4 * 40² / 2 = 3200
    assert moved.icc.value == pytest.approx(2450 / (2450 + 2 * 3200 / 4))


def test_plain_values_are_those_of_the_evaluation() -> None:
    a, b = np.random.default_rng(1).normal(150, 40, (2, 12))
    found, plain = quantity_agreement("x", a, b), agreement(a, b)
    for name in set(MEASURES) - {"icc"}:
        assert getattr(found, name).value == pytest.approx(getattr(plain, name), rel=1e-9)


def test_swapping_the_readers_turns_the_sign_of_the_bias_only() -> None:
    a, b = np.random.default_rng(2).normal(150, 40, (2, 30))
    one, other = quantity_agreement("x", a, b), quantity_agreement("x", b, a)
    assert one.bias.value == pytest.approx(-other.bias.value)
    assert one.lower_limit.value == pytest.approx(-other.upper_limit.value)
    for name in ("r", "icc", "sd", "mae"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
        assert getattr(one, name).interval == pytest.approx(getattr(other, name).interval)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Differences of SD 5 and bias 3: of 200 studies of 30 patients, bias and MAE are held by 90 to 99 %."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        b = rng.normal(150, 40, 30)
        low, high = quantity_agreement("x", b + rng.normal(3, 5, 30), b).bias.interval
        held += low <= 3.0 <= high
    assert 180 <= held <= 198


def test_too_few_patients_leave_values_undefined() -> None:
    none, one, two = (quantity_agreement("x", values, [float(v) for v in range(len(values))])
                      for values in ([], [3.0], [3.0, 5.0]))  # fmt: skip
    assert (none.n, one.n, two.n) == (0, 1, 2)
    assert math.isnan(none.bias.value)
    assert one.bias.value == 3.0
    assert math.isnan(one.sd.value)
    assert math.isnan(one.icc.value)
    assert two.sd.value == pytest.approx(math.sqrt(0.5))
    assert math.isnan(two.r.value)
    assert all(math.isnan(bound) for bound in two.bias.interval)


def test_a_constant_series_has_no_correlation_and_equal_ones_no_icc() -> None:
    assert math.isnan(quantity_agreement("x", [1.0, 2.0, 4.0], [5.0, 5.0, 5.0]).r.value)
    assert math.isnan(quantity_agreement("x", [5.0, 5.0, 5.0], [5.0, 5.0, 5.0]).icc.value)


def test_series_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        quantity_agreement("x", [1.0], [1.0, 2.0])


def test_quantities_of_two_readers_by_patient() -> None:
    cases = [
        _case("a", "ED", (100, 80, 90), (110, 90, 90)), _case("a", "ES", (40, 85, 45), (55, 90, 36)),
        _case("b", "ED", (150, 100, 120), (150, 90, 120)), _case("b", "ES", (60, 90, 60), (75, 90, 60)),
        _case("c", "ED", (200, 60, 10), (190, 60, 10)),
    ]  # fmt: skip
    report = readout_agreement(cases)
    assert report.patients == 3
    assert [one.quantity for one in report.quantities] == list(READOUT_QUANTITIES)
    found = {one.quantity: one for one in report.quantities}
    assert found["EDV [ml]"].n == 3
    assert found["EDV [ml]"].bias.value == pytest.approx(0.0)  # -10, 0, 10
    assert found["SV [ml]"].n == 2  # c has no end-systole
    assert found["SV [ml]"].bias.value == pytest.approx((5 + 15) / 2)  # 60 - 55, 90 - 75
    assert found["EF [%]"].bias.value == pytest.approx((60.0 - 50.0 + 60.0 - 50.0) / 2)
    assert found["mass [g]"].bias.value == pytest.approx(0.0)  # 1.05 * (-10, 10, 0)
    assert found["RV EF [%]"].bias.value == pytest.approx((50.0 - 60.0 + 0.0) / 2)


def test_published_ranges_are_of_their_quantity() -> None:
    """The abstracts of Suinesiaputra 2015 and Mooij 2008."""
    of = {one.measure: (one.lower, one.upper) for one in published("EF [%]")}
    assert of == {"difference": (4.6, 7.5), "icc": (0.79, 0.87)}
    assert {one.measure: (one.lower, one.upper) for one in published("RV EDV [ml]")} == {"icc": (0.94, 0.99)}
    assert published("longitudinal strain [%]") == ()

"""Bland-Altman statistics and correlation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.agreement import agreement, agreement_by_patient
from autolv.evaluation.case import compare_case

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _case(patient, phase, predicted_ml, reference_ml, structures=STRUCTURES):
    """A case with the given volumes per structure, made of voxels of 1 ml."""
    size = max(sum(predicted_ml), sum(reference_ml), 1)
    maps = []
    for volumes in (predicted_ml, reference_ml):
        labels = np.zeros(size, dtype=np.uint8)
        labels[: sum(volumes)] = np.repeat(np.arange(1, len(volumes) + 1), volumes)
        maps.append(labels.reshape(1, 1, size))
    name = f"{patient}_{phase}"
    return compare_case(*maps, (10.0, 10.0, 10.0), structures, case=name, patient=patient, phase=phase)


def test_agreement_by_hand() -> None:
    result = agreement([10.0, 20.0, 30.0], [12.0, 18.0, 33.0])  # differences -2, 2, -3
    assert result.n == 3
    assert result.bias == pytest.approx(-1.0)
    assert result.sd == pytest.approx(math.sqrt(7.0))
    assert result.lower_limit == pytest.approx(-1.0 - 1.96 * math.sqrt(7.0))
    assert result.upper_limit == pytest.approx(-1.0 + 1.96 * math.sqrt(7.0))
    assert result.mae == pytest.approx(7 / 3)
    assert result.r == pytest.approx(210 / math.sqrt(200 * 234))


def test_undefined_pairs_are_left_out_and_counted() -> None:
    whole = agreement([10.0, 20.0, 30.0], [12.0, 18.0, 33.0])
    assert agreement([10.0, math.nan, 20.0, 5.0, 30.0], [12.0, 1.0, 18.0, math.nan, 33.0]) == whole


def test_correlation_equals_numpy_s() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 40))
    assert agreement(a, a + b).r == pytest.approx(np.corrcoef(a, a + b)[0, 1], rel=1e-12)


def test_constant_offset_is_bias_without_spread() -> None:
    result = agreement([11.0, 21.0, 31.0], [10.0, 20.0, 30.0])
    assert (result.bias, result.sd, result.lower_limit, result.upper_limit, result.mae) == (1.0, 0.0, 1.0, 1.0, 1.0)
    assert result.r == pytest.approx(1.0)


def test_too_few_pairs_leave_values_undefined() -> None:
    none, one, two = agreement([], []), agreement([3.0], [1.0]), agreement([3.0, 4.0], [1.0, 1.5])
    assert (none.n, one.n, two.n) == (0, 1, 2)
    assert math.isnan(none.bias)
    assert math.isnan(none.mae)
    assert one.bias == 2.0
    assert math.isnan(one.sd)
    assert math.isnan(one.upper_limit)
    assert two.sd == pytest.approx(math.sqrt(0.125))
    assert math.isnan(two.r)  # two points always lie on a line


def test_constant_series_has_no_correlation() -> None:
    assert math.isnan(agreement([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]).r)


def test_series_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        agreement([1.0], [1.0, 2.0])


def test_clinical_quantities_by_patient() -> None:
    cases = [
        _case("a", "ED", (100, 80, 90), (110, 90, 90)),
        _case("a", "ES", (40, 85, 45), (55, 90, 36)),
        _case("b", "ED", (150, 100, 120), (150, 90, 120)),
        _case("b", "ES", (90, 95, 60), (75, 95, 60)),
    ]
    result = agreement_by_patient(cases)
    assert list(result) == [
        "EDV [ml]", "ESV [ml]", "EF [%]", "mass [g]", "RV EDV [ml]", "RV ESV [ml]", "RV EF [%]"
    ]  # fmt: skip
    assert all(value.n == 2 for value in result.values())
    assert result["EDV [ml]"].bias == pytest.approx(-5.0)
    assert result["ESV [ml]"].bias == pytest.approx(0.0)
    assert result["ESV [ml]"].mae == pytest.approx(15.0)
    # a: 60 against 50 %, b: 40 against 50 %
    assert result["EF [%]"].bias == pytest.approx(0.0)
    assert result["EF [%]"].mae == pytest.approx(10.0)
    # at end-diastole, 1.05 g/ml: 10 ml too little, 10 ml too much
    assert result["mass [g]"].mae == pytest.approx(10.5)
    assert result["RV EF [%]"].bias == pytest.approx((50 - 60) / 2)


def test_missing_frame_and_missed_ventricle_are_left_out_of_n() -> None:
    cases = [
        _case("a", "ED", (100, 80), (110, 90), STRUCTURES[:2]),
        _case("a", "ES", (40, 80), (55, 90), STRUCTURES[:2]),
        _case("b", "ED", (100, 80), (100, 80), STRUCTURES[:2]),  # no ES
        _case("c", "ED", (0, 80), (120, 90), STRUCTURES[:2]),  # no cavity predicted: no EF
        _case("c", "ES", (0, 80), (60, 90), STRUCTURES[:2]),
    ]
    result = agreement_by_patient(cases)
    assert {name: value.n for name, value in result.items()} == {
        "EDV [ml]": 3, "ESV [ml]": 2, "EF [%]": 1, "mass [g]": 3
    }  # fmt: skip
    assert result["EDV [ml]"].bias == pytest.approx((-10 + 0 - 120) / 3)


def test_no_cases_give_no_quantities() -> None:
    assert agreement_by_patient([]) == {}

"""Which frame is end-diastole, and each patient's values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.case import compare_case
from autolv.evaluation.patients import frames_by_patient, patient_values


def _case(name, patient, phase, predicted_ml, reference_ml):
    line = np.arange(max(predicted_ml, reference_ml, 1))
    maps = [(line < volume).astype(np.uint8).reshape(1, 1, -1) for volume in (predicted_ml, reference_ml)]
    return compare_case(*maps, (10.0, 10.0, 10.0), ("lv_cavity",), case=name, patient=patient, phase=phase, group="NOR")


def _names(frames):
    return tuple(None if case is None else case.case for case in (frames.end_diastole, frames.end_systole))


def test_phases_are_taken_where_given_even_against_the_volumes() -> None:
    cases = [_case("x", "p", "ES", 90, 90), _case("y", "p", "ED", 50, 50)]
    (frames,) = frames_by_patient(cases)
    assert _names(frames) == ("y", "x")


def test_without_phases_the_larger_reference_is_end_diastole() -> None:
    cases = [_case("x", "p", None, 200, 60), _case("y", "p", None, 10, 90)]
    (frames,) = frames_by_patient(cases)
    assert _names(frames) == ("y", "x")


@pytest.mark.parametrize("volumes", [(90,), (90, 60, 30), (70, 70)])
def test_without_phases_other_than_two_different_frames_stay_unknown(volumes) -> None:
    cases = [_case(str(i), "p", None, v, v) for i, v in enumerate(volumes)]
    (frames,) = frames_by_patient(cases)
    assert _names(frames) == (None, None)


def test_phase_that_stands_twice_is_not_used() -> None:
    cases = [_case("x", "p", "ED", 90, 90), _case("y", "p", "ED", 80, 80), _case("z", "p", "ES", 50, 50)]
    (frames,) = frames_by_patient(cases)
    assert _names(frames) == (None, "z")


def test_patients_come_sorted_with_their_values() -> None:
    cases = [
        _case("b1", "b", "ED", 100, 80),
        _case("a1", "a", "ED", 50, 60),
        _case("a2", "a", "ES", 20, 30),
    ]
    first, second = patient_values(cases)
    assert (first.patient, first.group, second.patient) == ("a", "NOR", "b")
    assert list(first.values) == ["EDV [ml]", "ESV [ml]", "EF [%]", "SV [ml]"]
    assert (first.values["EF [%]"].predicted, first.values["EF [%]"].reference) == pytest.approx((60.0, 50.0))
    assert (second.values["EDV [ml]"].predicted, second.values["EDV [ml]"].reference) == (100.0, 80.0)
    assert math.isnan(second.values["ESV [ml]"].reference)
    assert math.isnan(second.values["EF [%]"].predicted)

from __future__ import annotations

import pytest

from autolv.core.errors import DataError
from autolv.datasets._names import frame_of, phase_of, rule_in_words
from autolv.datasets.raw import patient_of


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("patient001_frame01", "patient001"),
        ("patient001_frame12_extra", "patient001"),
        ("patient012", "patient012"),
        ("case_003_ED", "case_003"),
        ("case_003", "case_003"),
        ("Case-12-t05", "Case-12"),
        ("sub-07_ses-2_ES", "sub-07"),
        ("A0S9V9_sa_ES", "A0S9V9_sa"),
        ("A0S9V9_ED_frame03", "A0S9V9"),
        ("LV_17_phase4", "LV_17"),
        ("LV_17", "LV_17"),
        ("heart_4_5", "heart_4_5"),  # two bare numbers: nothing says that the last is a frame
        ("ED", "ED"),
    ],
)
def test_patient_by_rule(case: str, patient: str) -> None:
    assert patient_of(case) == patient


def test_two_frames_of_one_patient_are_one_patient() -> None:
    assert len({patient_of(name) for name in ("x_frame01", "x_frame13", "x_ED", "x-es", "x_fr_7", "x_t2")}) == 1


def test_pattern_replaces_the_rule() -> None:
    assert patient_of("heart_4_5", r"heart_(\d+)_") == "4"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("(", "not a regular expression"), ("patient", "0 groups"), ("(a)(b)", "2 groups"), (r"zz(\d+)", "'heart_4_5'")],
)
def test_bad_patterns_say_why(pattern: str, text: str) -> None:
    with pytest.raises(DataError, match=".") as caught:
        patient_of("heart_4_5", pattern)
    assert text in str(caught.value)
    assert caught.value.remedy


def test_rule_is_told_with_an_example() -> None:
    text = rule_in_words(["lone", "patient001_frame01"])
    assert "'patient001_frame01' is of patient 'patient001'" in text
    assert "each case is its own patient" in rule_in_words(["lone", "other"])


@pytest.mark.parametrize(
    ("case", "phase"),
    [("x_ED", "ED"), ("x_es", "ES"), ("x-ED-frame01", "ED"), ("x_frame01", None), ("MOVED", None), ("x_ED_old", None)],
)
def test_phase_from_name(case: str, phase: str | None) -> None:
    assert phase_of(case) == phase


def test_frame_from_name() -> None:
    assert frame_of("patient001_frame12") == 12
    assert frame_of("patient001_frame03_ED") == 3
    assert frame_of("case_12") is None

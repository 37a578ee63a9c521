"""Candidates, shared cases and the parts in which they are cross-fitted."""

import math

import numpy as np
import pytest

from autolv.selection.candidates import SharedCases, candidate_name, enumerate_candidates, mean_dice


def test_singles_pairs_and_all_together() -> None:
    assert enumerate_candidates(["a", "b", "c"]) == (
        ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"),
    )  # fmt: skip
    assert enumerate_candidates(["a", "b"]) == (("a",), ("b",), ("a", "b"))
    assert enumerate_candidates(["a"]) == (("a",),)
    assert enumerate_candidates([]) == ()
    assert len(enumerate_candidates("abcdef")) == 6 + 15 + 1
    assert candidate_name(("2d_unet", "3d_vnet")) == "2d_unet + 3d_vnet"


def test_a_configuration_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="once"):
        enumerate_candidates(["a", "a"])


def test_mean_dice_is_the_mean_of_the_structures_means() -> None:
    # (0.8 + 0.6) / 2 = 0.7 and 0.4 alone: (0.7 + 0.4) / 2, not the mean of three values
    assert mean_dice(np.array([[0.8, 0.4], [0.6, math.nan]])) == pytest.approx(0.55)
    assert mean_dice(np.array([[0.8, math.nan], [0.6, math.nan]])) == pytest.approx(0.7)
    assert math.isnan(mean_dice(np.full((2, 3), math.nan)))


def test_parts_are_the_folds() -> None:
    cases = SharedCases(patients=("p1", "p1", "p2", "p3"), folds=(0, 0, 2, 0))
    assert [part.tolist() for part in cases.parts()] == [[True, True, False, True], [False, False, True, False]]


def test_one_fold_is_parted_by_patients_and_no_patient_is_in_two_parts() -> None:
    patients = tuple(f"p{i // 2:02d}" for i in range(26))  # 13 patients with two frames each
    parts = SharedCases(patients=patients, folds=(3,) * 26).parts()
    assert len(parts) == 5
    assert [int(part.sum()) for part in parts] == [6, 6, 6, 4, 4]
    np.testing.assert_array_equal(np.sum(parts, axis=0), np.ones(26))
    for part in parts:
        inside = {p for p, here in zip(patients, part, strict=True) if here}
        assert not inside & {p for p, here in zip(patients, part, strict=True) if not here}


def test_few_patients_and_one() -> None:
    assert len(SharedCases(patients=("a", "b"), folds=(0, 0)).parts()) == 2
    assert SharedCases(patients=("a", "a"), folds=(0, 0)).parts() == ()


def test_cases_within_a_mask() -> None:
    cases = SharedCases(patients=("a", "b", "c"), folds=(0, 1, 2)).within(np.array([True, False, True]))
    assert cases.patients == ("a", "c") and cases.folds == (0, 2)


def test_a_patient_of_two_folds_and_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="of one fold"):
        SharedCases(patients=("a", "a"), folds=(0, 1))
    with pytest.raises(ValueError, match="one fold per case"):
        SharedCases(patients=("a", "b"), folds=(0,))
    with pytest.raises(ValueError, match="per case"):
        SharedCases(patients=(), folds=())

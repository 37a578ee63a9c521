from __future__ import annotations

import logging
from collections import Counter

import pytest

from autolv.core.errors import SplitError
from autolv.planning.splits import check_splits, make_splits
from autolv.schema.dataset import Case, Dataset
from autolv.schema.splits import Fold, Splits

GROUPS = ("DCM", "HCM", "MINF", "NOR", "RV")


def dataset_of(patients: int, groups: tuple[str, ...] = (), **fields: tuple[str, ...]) -> Dataset:
    """Patients p000, p001, ... with an ED and an ES frame; the i-th has groups[i % len(groups)]."""
    return Dataset(
        name="D",
        labels={"lv_cavity": 1},
        file_ending=".nii.gz",
        training=tuple(
            Case(
                case=f"p{i:03d}_{phase}",
                patient=f"p{i:03d}",
                image="",
                group=groups[i % len(groups)] if groups else None,
                **{name: values[i % len(values)] for name, values in fields.items()},
            )
            for i in range(patients)
            for phase in ("ED", "ES")
        ),
    )


def test_100_patients_of_5_groups_give_4_of_each_group_to_each_fold() -> None:
    dataset = dataset_of(100, GROUPS)
    group_of = {case.patient: case.group for case in dataset.training}
    splits = make_splits(dataset)
    assert len(splits.folds) == 5
    for fold in splits.folds:
        assert Counter(group_of[p] for p in fold.validation) == dict.fromkeys(GROUPS, 4)
        assert set(fold.train) | set(fold.validation) == set(dataset.patients)
        assert not set(fold.train) & set(fold.validation)
    assert Counter(p for fold in splits.folds for p in fold.validation) == dict.fromkeys(dataset.patients, 1)


def test_twins_stay_together_and_do_not_disturb_the_balance() -> None:
    dataset = dataset_of(100, GROUPS)
    group_of = {case.patient: case.group for case in dataset.training}
    splits = make_splits(dataset, twins=[("p003", "p010"), ("p010", "p017")])
    for fold in splits.folds:
        assert len({"p003", "p010", "p017"} & set(fold.validation)) in (0, 3)
        assert Counter(group_of[p] for p in fold.validation) == dict.fromkeys(GROUPS, 4)


def test_uneven_groups_differ_by_one_patient_and_folds_by_one() -> None:
    dataset = dataset_of(23, ("A", "A", "B"))
    splits = make_splits(dataset)
    sizes = sorted(len(fold.validation) for fold in splits.folds)
    assert sizes == [4, 4, 5, 5, 5]
    group_of = {case.patient: case.group for case in dataset.training}
    for group in ("A", "B"):
        counts = [sum(group_of[p] == group for p in fold.validation) for fold in splits.folds]
        assert max(counts) - min(counts) <= 1


def test_a_split_is_the_same_everywhere_and_differs_between_seeds() -> None:
    dataset = dataset_of(10)
    first = make_splits(dataset, seed=0)
    assert first == make_splits(dataset, seed=0)
    assert first != make_splits(dataset, seed=1)
    # first and sixth by `printf 0:pNNN | sha256sum`: no change of platform or library may move a patient
    assert first.folds[0].validation == ("p005", "p007")
    shuffled = dataset.model_copy(update={"training": dataset.training[::-1]})
    assert make_splits(shuffled) == first


@pytest.mark.parametrize("patients", [2, 3, 4])
def test_fewer_patients_than_folds_leave_one_out_and_say_so(patients: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        splits = make_splits(dataset_of(patients))
    assert [len(fold.validation) for fold in splits.folds] == [1] * patients
    assert f"{patients} folds in place of 5" in caplog.text


def test_enough_patients_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    make_splits(dataset_of(5))
    assert caplog.text == ""


def test_one_patient_cannot_be_split() -> None:
    with pytest.raises(SplitError, match="p000"):
        make_splits(dataset_of(1))
    with pytest.raises(SplitError, match="images of their own"):
        make_splits(dataset_of(2), twins=[("p000", "p001")])


def test_fewer_than_two_folds_is_a_programming_error() -> None:
    with pytest.raises(SplitError, match="folds must be at least 2, got 1") as caught:
        make_splits(dataset_of(4), folds=1)
    assert caught.value.remedy


def test_leaving_a_vendor_out_in_turn() -> None:
    splits = make_splits(dataset_of(6, vendor=("Siemens", "GE", "Philips")), by="vendor")
    assert [fold.name for fold in splits.folds] == ["GE", "Philips", "Siemens"]
    assert splits.folds[0].validation == ("p001", "p004")
    assert splits.folds[0].train == ("p000", "p002", "p003", "p005")


def test_a_twin_of_a_left_out_patient_does_not_train(caplog: pytest.LogCaptureFixture) -> None:
    dataset = dataset_of(6, vendor=("Siemens", "GE", "Philips"))
    twins = [("p000", "p001")]  # a Siemens and a GE patient
    with caplog.at_level(logging.WARNING):
        splits = make_splits(dataset, twins=twins, by="vendor")
    assert splits.folds[0].train == ("p002", "p003", "p005")
    assert "p000" in caplog.text
    assert splits.folds[1].train == ("p000", "p001", "p003", "p004")


def test_missing_values_name_their_cases() -> None:
    dataset = dataset_of(3, centre=("A", "B"))
    cases = [case.model_copy(update={"centre": None}) if case.patient == "p001" else case for case in dataset.training]
    with pytest.raises(SplitError, match="without a centre: p001_ED, p001_ES"):
        make_splits(dataset.model_copy(update={"training": tuple(cases)}), by="centre")


def test_one_value_cannot_be_left_out() -> None:
    with pytest.raises(SplitError, match="'NOR'"):
        make_splits(dataset_of(3, ("NOR",)), by="group")


def test_a_patient_of_two_centres_is_an_error() -> None:
    dataset = dataset_of(2, centre=("A", "B"))
    cases = (dataset.training[0].model_copy(update={"centre": "B"}), *dataset.training[1:])
    with pytest.raises(SplitError, match="p000 has two values"):
        make_splits(dataset.model_copy(update={"training": cases}), by="centre")


def splits_of(*folds: tuple[str, str]) -> Splits:
    """Splits from pairs of letters: ("ab", "c") trains on a and b and validates c. Not checked on the way."""
    return Splits.model_construct(
        version=1,
        dataset="D",
        by="patient",
        seed=0,
        folds=tuple(Fold(name=str(i), train=tuple(t), validation=tuple(v)) for i, (t, v) in enumerate(folds)),
    )


@pytest.fixture
def abc() -> Dataset:
    return Dataset(
        name="D",
        labels={"lv_cavity": 1},
        file_ending=".nii.gz",
        training=tuple(Case(case=f"{p}_ED", patient=p, image="") for p in "abc"),
    )


def test_a_sound_split_passes(abc: Dataset) -> None:
    check_splits(splits_of(("bc", "a"), ("ac", "b"), ("ab", "c")), abc)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([("bc", "a"), ("abc", "b"), ("ab", "c")], "both sides: b"),
        ([("bc", "a"), ("acx", "b"), ("ab", "c")], "not in the dataset: x"),
        ([("bc", "a"), ("bc", "a"), ("ac", "b"), ("ab", "c")], "more than once: a"),
        ([("bc", "a"), ("ac", "b")], "no fold validates: c"),
        ([("", "abc")], "0 training and 3 validation"),
        ([("abc", "")], "3 training and 0 validation"),
    ],
)
def test_an_unsound_split_is_refused_with_its_patients(
    abc: Dataset, folds: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        check_splits(splits_of(*folds), abc)


def test_twins_on_both_sides_are_refused(abc: Dataset) -> None:
    splits = splits_of(("bc", "a"), ("ac", "b"), ("ab", "c"))
    with pytest.raises(SplitError, match="share an image on both sides: a, b"):
        check_splits(splits, abc, twins=[("b", "a")])
    check_splits(splits_of(("c", "ab"), ("ab", "c")), abc, twins=[("b", "a")])

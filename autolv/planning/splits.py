"""Who trains and who validates: whole patients, twins together, groups spread evenly."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from autolv.core.errors import SplitError
from autolv.planning.twins import merge_overlapping
from autolv.schema.dataset import Dataset
from autolv.schema.splits import Fold, SplitBy, Splits

_log = logging.getLogger(__name__)
_MAKE_AGAIN = "Delete the split file and plan again, or correct it."
_NAMED = 10  # at most so many patients or cases are named in a message


def make_splits(
    dataset: Dataset,
    *,
    twins: Iterable[Sequence[str]] = (),
    folds: int = 5,
    seed: int = 0,
    by: SplitBy = "patient",
) -> Splits:
    """Return the splits of a dataset's training patients.

    By patient: ``folds`` parts of nearly equal size over which each group's patients are spread evenly, each the
    validation part of one fold; with fewer patients than ``folds``, as many as there are patients. By group, vendor or
    centre: one value left out in turn. Patients who share an image (``twins``) are never on two sides: they stand in
    one part, and where they differ in the value left out, the one that would train is left out of that fold.
    The order is that of SHA-256 of seed and patient, so the result is the same on each platform.
    Raises ``SplitError`` for fewer than two folds or patients, or values that are missing.
    """
    if folds < 2:
        raise SplitError(
            f"folds must be at least 2, got {folds}.",
            remedy="Ask for 2 or more: what one fold validates, the others train on.",
        )
    units = _units(dataset.patients, twins)
    made = _by_patient(dataset, units, folds, seed) if by == "patient" else _by_value(dataset, units, by)
    splits = Splits(dataset=dataset.name, by=by, seed=seed, folds=made)
    check_splits(splits, dataset, twins=twins)
    return splits


def check_splits(splits: Splits, dataset: Dataset, *, twins: Iterable[Sequence[str]] = ()) -> None:
    """Raise ``SplitError``, naming patients, unless the splits fit the dataset.

    Each patient must be known and validated at most once (exactly once in splits by patient), no fold may have a
    patient or two ``twins`` on both sides, and no side may be empty.
    """
    known = set(dataset.patients)
    validated: Counter[str] = Counter()
    for number, fold in enumerate(splits.folds):
        _check_fold(number, fold, known, merge_overlapping(twins))
        validated.update(fold.validation)
    twice = sorted(patient for patient, times in validated.items() if times > 1)
    if twice:
        raise SplitError(f"patients validated more than once: {_list(twice)}.", remedy=_MAKE_AGAIN)
    never = sorted(known - set(validated))
    if splits.by == "patient" and never:
        raise SplitError(
            f"patients of {dataset.name} whom no fold validates: {_list(never)}.",
            remedy="The data have changed since the split was made, or it was edited. " + _MAKE_AGAIN,
        )


def _check_fold(number: int, fold: Fold, known: set[str], twins: Sequence[Sequence[str]]) -> None:
    train, validation = set(fold.train), set(fold.validation)
    if not train or not validation:
        raise SplitError(
            f"fold {number} ({fold.name}) has {len(train)} training and {len(validation)} validation patients.",
            remedy="Each fold needs at least one of both. " + _MAKE_AGAIN,
        )
    unknown = sorted((train | validation) - known)
    if unknown:
        raise SplitError(
            f"fold {number} ({fold.name}) names patients who are not in the dataset: {_list(unknown)}.",
            remedy=_MAKE_AGAIN,
        )
    both = sorted(train & validation)
    if both:
        raise SplitError(f"fold {number} ({fold.name}) has patients on both sides: {_list(both)}.", remedy=_MAKE_AGAIN)
    for group in twins:
        if train.intersection(group) and validation.intersection(group):
            raise SplitError(
                f"fold {number} ({fold.name}) has patients who share an image on both sides: {_list(group)}.",
                remedy="Put them on one side. " + _MAKE_AGAIN,
            )


def _by_patient(dataset: Dataset, units: Sequence[tuple[str, ...]], folds: int, seed: int) -> tuple[Fold, ...]:
    if len(units) < 2:
        raise SplitError(
            f"{dataset.name} has {len(dataset.patients)} training patient(s) with images of their own "
            f"({_list(dataset.patients)}); splitting by patient needs two.",
            remedy="Add patients; check that the column 'patient' of cases.csv tells them apart.",
        )
    count = min(folds, len(units))
    if count < folds:
        _log.warning("%s: %d folds in place of %d, one per patient.", dataset.name, count, folds)
    parts = _spread_evenly(units, _groups(dataset), count, seed)
    everyone = set(dataset.patients)
    return tuple(
        Fold(name=f"fold_{i}", train=tuple(sorted(everyone - set(part))), validation=tuple(sorted(part)))
        for i, part in enumerate(parts)
    )


def _spread_evenly(
    units: Sequence[tuple[str, ...]], groups: Mapping[str, str], count: int, seed: int
) -> list[list[str]]:
    """Return ``count`` parts, filled unit by unit where the unit's groups, then patients of any group, are fewest."""

    def order(unit: tuple[str, ...]) -> tuple[int, str, str]:
        shuffled = hashlib.sha256(f"{seed}:{unit[0]}".encode()).hexdigest()
        return -len(unit), groups[unit[0]], shuffled

    parts: list[list[str]] = [[] for _ in range(count)]
    held: list[Counter[str]] = [Counter() for _ in range(count)]
    for unit in sorted(units, key=order):
        of_groups = [groups[patient] for patient in unit]
        best = min(range(count), key=lambda i: (sum(held[i][g] for g in of_groups), len(parts[i]), i))
        parts[best].extend(unit)
        held[best].update(of_groups)
    return parts


def _by_value(dataset: Dataset, units: Sequence[tuple[str, ...]], by: SplitBy) -> tuple[Fold, ...]:
    values = _values(dataset, by)
    distinct = sorted(set(values.values()))
    if len(distinct) < 2:
        raise SplitError(
            f"all patients of {dataset.name} have the {by} {distinct[0]!r}: none can be left out.",
            remedy="Split by patient.",
        )
    twin_of = {patient: set(unit) - {patient} for unit in units for patient in unit}
    folds = []
    for value in distinct:
        validation = {patient for patient, own in values.items() if own == value}
        leaking = {twin for patient in validation for twin in twin_of[patient]} - validation
        if leaking:
            _log.warning(
                "%s without %s %s: %s not trained on, they share an image with a validation patient.",
                dataset.name, by, value, _list(sorted(leaking)),
            )  # fmt: skip
        train = set(values) - validation - leaking
        folds.append(Fold(name=value, train=tuple(sorted(train)), validation=tuple(sorted(validation))))
    return tuple(folds)


def _values(dataset: Dataset, by: SplitBy) -> dict[str, str]:
    """Return each patient's group, vendor or centre; missing or contradictory ones are a ``SplitError``."""
    missing = [case.case for case in dataset.training if getattr(case, by) is None]
    if missing:
        raise SplitError(
            f"cases without a {by}: {_list(missing)}.",
            remedy=f"Fill the column '{by}' of cases.csv, or split by patient.",
        )
    values: dict[str, str] = {}
    for case in dataset.training:
        value = str(getattr(case, by))
        if values.setdefault(case.patient, value) != value:
            raise SplitError(
                f"patient {case.patient} has two values of {by}: {values[case.patient]!r} and {value!r}.",
                remedy="Correct cases.csv.",
            )
    return values


def _groups(dataset: Dataset) -> dict[str, str]:
    """Return each patient's group, "" where it is not known."""
    groups = dict.fromkeys(dataset.patients, "")
    groups.update({case.patient: case.group for case in dataset.training if case.group is not None})
    return groups


def _units(patients: Sequence[str], twins: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the patients in sets that must stay together; twins who are not among the patients are ignored."""
    present = set(patients)
    together = (present.intersection(group) for group in twins)
    return merge_overlapping((*((patient,) for patient in patients), *together))


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

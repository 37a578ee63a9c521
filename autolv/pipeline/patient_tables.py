"""Tables that a reader gives beside label maps: what is known of the patients, and where healthy people lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from autolv.core.errors import DataError
from autolv.datasets._cases_table import CaseRow, number_in, read_csv, row_of
from autolv.readout.dictionary import DICTIONARY
from autolv.readout.normal import ANY_AGE, Population
from autolv.schema.dataset import Case, Sex
from autolv.schema.readout import BasalRule, BsaFormula, PapillaryRule

FACTS = ("group", "vendor", "centre", "height_cm", "weight_kg", "sex", "age_years", "rr_ms")
_RANGES = ("quantity", "low", "high", "age_from", "age_to", "papillary_rule", "basal_rule", "bsa_formula", "source")
_RULES: Mapping[str, tuple[str, ...]] = {
    "sex": get_args(Sex), "papillary_rule": get_args(PapillaryRule), "basal_rule": get_args(BasalRule),
    "bsa_formula": get_args(BsaFormula),
}  # fmt: skip
Patients = Mapping[str, CaseRow]  # case or patient -> what is known


def read_patients(path: Path) -> Patients:
    """Return what a table says of patients: the columns of ``cases.csv``, of which ``case`` or ``patient`` must be filled.

    Raises ``DataError`` naming the line.
    """
    found: dict[str, CaseRow] = {}
    for number, raw in enumerate(read_csv(path), start=2):
        where = f"{path}, line {number}"
        row = row_of(raw, where)
        name = row.case or row.patient
        if not name:
            raise DataError(
                f"{where}: neither a case nor a patient is given.", remedy="Fill the column patient or case."
            )
        if name in found:
            raise DataError(f"{where}: {name!r} stands twice.", remedy="Remove one of the rows.")
        found[name] = row
    if not found:
        raise DataError(f"{path} has no rows.", remedy="Give a row per patient, or leave the table out.")
    return found


def with_facts(case: Case, patients: Patients) -> Case:
    """Return ``case`` with what the table says of it, by its name or else its patient's."""
    row = patients.get(case.case) or patients.get(case.patient)
    if row is None:
        return case
    told = {name: getattr(row, name) for name in FACTS}
    return case.model_copy(update={name: value for name, value in told.items() if value is not None})


def read_normal_ranges(path: Path) -> tuple[Population, ...]:
    """Return a laboratory's ranges of healthy people; raises ``DataError`` naming the line and the column.

    Columns: quantity (a column of ``readout.csv``), low, high, source; and sex, age_from, age_to, papillary_rule, basal_rule,
    bsa_formula, where the range does not hold for any.
    """
    rows = read_csv(path, also=_RANGES)
    if not rows:
        raise DataError(f"{path} has no rows.", remedy=f"Give the columns sex, {', '.join(_RANGES)}.")
    return tuple(_population(row, f"{path}, line {number}") for number, row in enumerate(rows, start=2))


def _population(row: Mapping[str, str], where: str) -> Population:
    quantity = row.get("quantity", "")
    if quantity not in DICTIONARY:
        raise DataError(
            f"{where}: quantity {quantity!r} is not one that is read out.",
            remedy=f"Name a column of readout.csv, such as {', '.join(list(DICTIONARY)[:4])}.",
        )
    low, high, first, last = (number_in(row, name, where) for name in ("low", "high", "age_from", "age_to"))
    if low is None or high is None:
        raise DataError(f"{where}: low and high must both be given.", remedy="Fill both columns.")
    if not low < high:
        raise DataError(f"{where}: low {low:g} is not below high {high:g}.", remedy="Correct one of them.")
    ages = (first or ANY_AGE[0], ANY_AGE[1] if last is None else last)
    if ages[0] > ages[1]:
        raise DataError(f"{where}: age_from {ages[0]:g} is above age_to {ages[1]:g}.", remedy="Correct one of them.")
    if not row.get("source"):
        raise DataError(f"{where}: no source is given.", remedy="Say where the range is from; the report shows it.")
    return Population(
        quantity=quantity, low=low, high=high, source=row["source"], ages=ages,
        **{name: _one_of(row, name, where) for name in _RULES},
    )  # fmt: skip


def _one_of(row: Mapping[str, str], column: str, where: str) -> Any:
    text = row.get(column, "")
    if not text:
        return None
    known = _RULES[column]
    if text not in known:
        raise DataError(
            f"{where}: {column} {text!r} is none of {', '.join(known)}.", remedy="Correct it, or leave it empty."
        )
    return text


def not_met(patients: Patients, cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the names in the table that belong to none of ``cases``."""
    names = {name for case in cases for name in (case.case, case.patient)}
    return tuple(name for name in patients if name not in names)

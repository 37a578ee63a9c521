"""``cases.csv``: what is known of each case beside its image and labels. Columns of others are left as they are."""

from __future__ import annotations

import csv
import functools
import io
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autolv.core.errors import DataError
from autolv.core.labels import STRUCTURES, canonical_name
from autolv.schema.dataset import Case, Phase, Sex

_log = logging.getLogger("autolv.datasets")

COLUMNS = (
    "case", "patient", "split", "frame", "phase", "group", "vendor", "centre", "height_cm", "weight_kg", "sex", "age_years",
    "rr_ms", "annotated",
)  # fmt: skip
_ALIASES = {"height": "height_cm", "weight": "weight_kg", "age": "age_years", "rr": "rr_ms"}
_SEXES: Mapping[str, Sex] = {"f": "F", "female": "F", "m": "M", "male": "M"}
# what a column without a unit in its name must hold to be taken for one in this unit, and not in m, inches, pounds, months or s
_PLAUSIBLE = {
    "height": (50.0, 250.0, "cm"), "weight": (5.0, 350.0, "kg"), "age": (0.0, 120.0, "years"), "rr": (300.0, 2000.0, "ms"),
}  # fmt: skip
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """What a table says about one case; ``split`` is ``"training"``, ``"test"`` or ``None``."""

    case: str
    patient: str
    split: str | None
    frame: int | None
    phase: Phase | None
    group: str | None
    vendor: str | None
    centre: str | None
    height_cm: float | None
    weight_kg: float | None
    sex: Sex | None
    age_years: float | None
    rr_ms: float | None
    annotated: tuple[str, ...] | None

    def known(self) -> dict[str, Any]:
        """Return what the row says beside the case's name and split, as fields of a ``Case``."""
        return {name: value for name, value in asdict(self).items() if name not in ("case", "split")}


def table_text(rows: Iterable[tuple[Case, str]]) -> str:
    """Return ``cases.csv`` for cases with their split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(case, split).values() for case, split in rows)
    return text.getvalue()


def completed_text(text: str, rows: Iterable[tuple[Case, str]], *, others: bool = True) -> str:
    """Return the table ``text`` with what it lacks of ``rows``: empty cells, columns (without ``split``), cases.

    What stands there stays, in its order: values, columns of others, separator, line ends; nothing lacking gives the
    text itself. Without ``others`` the rows of cases that are not among ``rows`` are left out.
    """
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    delimiter = _delimiter(text)
    table = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line]
    width = max(map(len, table), default=0)
    padded = [[*line, *[""] * (width - len(line))] for line in table] or [list(COLUMNS)]
    header, body = [*padded[0]], padded[1:]
    cells = {case.case: _cells(case, split) for case, split in rows}
    places = _places(header)
    for name in COLUMNS:
        if name not in places and name != "split" and any(known[name] for known in cells.values()):
            places[name] = len(header)
            header.append(name)
    there = [line[places["case"]].strip() for line in body]
    kept = [line for case, line in zip(there, body, strict=True) if others or case in cells]
    added = [[""] * places["case"] + [case] for case in cells if case not in there]
    made = [header, *(_filled(line, cells, places, len(header)) for line in (*kept, *added))]
    if made == padded:
        return bom + text
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(made)
    return bom + out.getvalue()


def _filled(
    line: Sequence[str], cells: Mapping[str, Mapping[str, str]], places: Mapping[str, int], width: int
) -> list[str]:
    """Return a line of ``width`` cells in which those that were empty hold what is known of its case."""
    filled = [*line, *[""] * (width - len(line))]
    for name, text in cells.get(filled[places["case"]].strip(), {}).items():
        if name in places and not filled[places[name]].strip():
            filled[places[name]] = text
    return filled


def _cells(case: Case, split: str) -> dict[str, str]:
    known = {**case.model_dump(), "split": split}
    return {name: "" if known[name] is None else _plain(known[name]) for name in COLUMNS}


def _places(header: Sequence[str]) -> dict[str, int]:
    """Return where each column stands that is known, by its proper name; an alias counts where that is not there."""
    names = [name.strip() for name in header]
    places = {_ALIASES[name]: place for place, name in enumerate(names) if name in _ALIASES}
    return places | {name: place for place, name in enumerate(names) if name in COLUMNS}


def read_text(path: Path) -> str:
    """Return a table's text as it stands, with its line ends and byte-order mark."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the table {path}: {error}.", remedy="Save it as CSV in UTF-8.") from error


def read_csv(path: Path, *, also: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header; comma or semicolon, with or without byte-order mark.

    Columns that are neither those of ``cases.csv`` nor among ``also`` are told: a slip in a name would lose a column.
    """
    text = read_text(path).removeprefix(_BOM)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), restval="", restkey="")
    known = (*COLUMNS, *_ALIASES, *also)
    _warn_unknown(path, tuple(name.strip() for name in reader.fieldnames or () if name.strip() not in ("", *known)))
    return [{k.strip(): (v or "").strip() for k, v in row.items() if k and isinstance(v, str)} for row in reader]


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return ";" if header.count(";") > header.count(",") else ","


@functools.lru_cache(maxsize=256)
def _warn_unknown(path: Path, names: tuple[str, ...]) -> None:
    """Log the columns that are not read, once per process however often the table is."""
    if names:
        known = ", ".join(COLUMNS)
        _log.warning("%s: columns that are not read: %s (known are %s).", path, ", ".join(names), known)


def read_table(path: Path) -> dict[str, CaseRow]:
    """Return the rows of ``cases.csv`` by case. Raises ``DataError`` naming the line, column and case at fault."""
    rows: dict[str, CaseRow] = {}
    for number, raw in enumerate(read_csv(path), start=2):
        where = f"{path}, line {number}"
        missing = [name for name in ("case", "patient") if not raw.get(name)]
        if missing:
            raise DataError(
                f"{where}: no {missing[0]} given (columns found: {', '.join(raw) or 'none'}).",
                remedy="Each row needs a case and a patient.",
            )
        row = row_of(raw, where)
        if row.case in rows:
            raise DataError(f"{where}: case {row.case!r} stands twice.", remedy="Remove one of the rows.")
        rows[row.case] = row
    return rows


def row_of(raw: Mapping[str, str], where: str) -> CaseRow:
    """Return the typed row of a table's texts; ``where`` names file and line in messages."""
    phase = raw.get("phase", "").upper() or None
    if phase is not None and phase not in ("ED", "ES"):
        raise DataError(f"{where}: phase {phase!r} is neither ED nor ES.", remedy="Write ED, ES, or leave it empty.")
    split = raw.get("split", "") or None
    if split not in (None, "training", "test"):
        raise DataError(f"{where}: split {split!r} is neither 'training' nor 'test'.", remedy="Write one of these.")
    return CaseRow(
        case=raw.get("case", ""),
        patient=raw.get("patient", ""),
        split=split,
        frame=_frame(raw, where),
        phase=None if phase is None else ("ED" if phase == "ED" else "ES"),
        group=raw.get("group") or None,
        vendor=raw.get("vendor") or None,
        centre=raw.get("centre") or None,
        height_cm=_quantity(raw, "height_cm", "height", where),
        weight_kg=_quantity(raw, "weight_kg", "weight", where),
        sex=_sex(raw, where),
        age_years=_quantity(raw, "age_years", "age", where),
        rr_ms=_quantity(raw, "rr_ms", "rr", where),
        annotated=_annotated(raw, where),
    )


def _annotated(raw: Mapping[str, str], where: str) -> tuple[str, ...] | None:
    """Return the structures named in the column ``annotated``, in their one order; ``None`` where it is empty."""
    words = re.split(r"[\s;,]+", raw.get("annotated", ""))
    names = {word: canonical_name(word) for word in words if word}
    unknown = [word for word, name in names.items() if name is None]
    if unknown:
        raise DataError(
            f"{where}: annotated {unknown[0]!r} is not a structure that autolv knows.",
            remedy=f"Name those that were looked for in the label map, of {', '.join(STRUCTURES)}, with spaces between; "
            "leave it empty where all were.",
        )
    return tuple(name for name in STRUCTURES if name in names.values()) or None


def _sex(raw: Mapping[str, str], where: str) -> Sex | None:
    text = raw.get("sex", "")
    if text and text.lower() not in _SEXES:
        _warn_of_sex(where.partition(", line")[0], text)
    return _SEXES.get(text.lower())


@functools.lru_cache(maxsize=256)
def _warn_of_sex(table: str, text: str) -> None:
    """Log a sex that is not read; not refused, for codes of others (0 and 1, say) do no harm but to be of no use."""
    _log.warning("%s: sex %r is not read: F, M, female and male are.", table, text)


def _frame(raw: Mapping[str, str], where: str) -> int | None:
    number = number_in(raw, "frame", where)
    if number is None:
        return None
    if number < 1 or number != int(number):
        raise DataError(
            f"{where}: frame {raw['frame']!r} is not a frame; frames are counted from 1.",
            remedy="Write a whole number of at least 1, or leave it empty.",
        )
    return int(number)


def _quantity(raw: Mapping[str, str], column: str, alias: str, where: str) -> float | None:
    """Return the number in ``column``, or, where that is empty, in ``alias``, whose name does not say the unit."""
    value = number_in(raw, column, where)
    if value is not None:
        return value
    value = number_in(raw, alias, where)
    low, high, unit = _PLAUSIBLE[alias]
    if value is not None and not low <= value <= high:
        raise DataError(
            f"{where}: {alias} {value:g} is not plausible in {unit} ({low:g} to {high:g} are).",
            remedy=f"Give it in {unit} in a column {column}, or leave it empty.",
        )
    return value


def number_in(raw: Mapping[str, str], column: str, where: str) -> float | None:
    """Return the number in a column, ``None`` where it is empty; raises ``DataError`` for other texts."""
    text = raw.get(column, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {column} {text!r} is not a number.", remedy="Correct it, or leave it empty.")
    return number


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)

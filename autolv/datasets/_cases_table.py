"""``cases.csv``: what is known of each case beside its image and labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autolv.core.errors import DataError
from autolv.schema.dataset import Case, Phase

COLUMNS = (
    "case", "patient", "split", "frame", "phase", "group", "vendor", "centre", "height_cm", "weight_kg",
)  # fmt: skip


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

    def known(self) -> dict[str, Any]:
        """Return what the row says beside the case's name and split, as fields of a ``Case``."""
        return {name: value for name, value in asdict(self).items() if name not in ("case", "split")}


def table_text(rows: Iterable[tuple[Case, str]]) -> str:
    """Return ``cases.csv`` for cases with their split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case, split in rows:
        known = {**case.model_dump(), "split": split}
        writer.writerow(["" if known[name] is None else _plain(known[name]) for name in COLUMNS])
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header; comma or semicolon, with or without byte-order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the table {path}: {error}.", remedy="Save it as CSV in UTF-8.") from error
    header = text.split("\n", 1)[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restval="", restkey="")
    return [{k.strip(): (v or "").strip() for k, v in row.items() if k and isinstance(v, str)} for row in reader]


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
    frame = _number(raw, "frame", where)
    return CaseRow(
        case=raw.get("case", ""),
        patient=raw.get("patient", ""),
        split=split,
        frame=None if frame is None else round(frame),
        phase=None if phase is None else ("ED" if phase == "ED" else "ES"),
        group=raw.get("group") or None,
        vendor=raw.get("vendor") or None,
        centre=raw.get("centre") or None,
        height_cm=_number(raw, "height_cm", where),
        weight_kg=_number(raw, "weight_kg", where),
    )


def _number(raw: Mapping[str, str], column: str, where: str) -> float | None:
    text = raw.get(column, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise DataError(
            f"{where}: {column} {text!r} is not a number.", remedy="Correct it, or leave it empty."
        ) from error


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

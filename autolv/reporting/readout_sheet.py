"""Read-outs as CSV: a row per patient, and a second table that says what each column is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from autolv.readout.dictionary import BOUNDS, DICTIONARY, OTHER_COLUMNS
from autolv.schema.readout import Readout

_LAST = ("flags", "outside_normal", "blank")


def readout_csv(readouts: Sequence[Readout]) -> str:
    """Return CSV text: one row per patient; a quantity without value is empty, and its reason stands in ``blank``."""
    names = _names(readouts)
    rows = []
    for one in readouts:
        blanks = [f"{name}: {one.quantities[name].reason}" for name in names
                  if name in one.quantities and one.quantities[name].value is None]  # fmt: skip
        first = [
            one.case, one.patient, one.group or "", one.sex or "", "" if one.age_years is None else f"{one.age_years:.10g}",
            "" if one.verdict is None else one.verdict.level,
            *("" if frame is None else str(frame) for frame in (one.ed_frame, one.es_frame)),
        ]  # fmt: skip
        rows.append([
            *first, *(_cell(one, name) for name in names), *_bounds(one),
            " ".join(flag.check for flag in one.flags), " ".join(one.outside_normal()), "; ".join(blanks),
        ])  # fmt: skip
    return _csv(_columns(names), rows)


def columns_csv(readouts: Sequence[Readout]) -> str:
    """Return CSV text that explains each column of ``readout_csv``: its unit and a sentence."""
    rows = []
    for column in _columns(_names(readouts)):
        unit, words = OTHER_COLUMNS.get(column, ("", ""))
        if column in BOUNDS:
            name, side = BOUNDS[column]
            unit = DICTIONARY[name].unit
            words = (
                f"{DICTIONARY[name].label}: {'upper' if side else 'lower'} end of the interval by predicted quality."
            )
        if column in DICTIONARY:
            unit, words = DICTIONARY[column].unit, f"{DICTIONARY[column].label}. {DICTIONARY[column].text}"
        rows.append([column, unit, words])
    return _csv(("column", "unit", "meaning"), rows)


def _names(readouts: Sequence[Readout]) -> list[str]:
    return [name for name in DICTIONARY if any(name in one.quantities for one in readouts)]


def _columns(names: Sequence[str]) -> tuple[str, ...]:
    other = [name for name in OTHER_COLUMNS if name not in _LAST]
    return (*other, *names, *BOUNDS, *_LAST)


def _bounds(readout: Readout) -> list[str]:
    """Return the cells of the columns ``BOUNDS``."""
    cells = []
    for name, side in BOUNDS.values():
        quantity = readout.quantities.get(name)
        bounds = None if quantity is None else quantity.interval
        cells.append("" if bounds is None else f"{round(bounds[side], 4):.10g}")
    return cells


def _cell(readout: Readout, name: str) -> str:
    quantity = readout.quantities.get(name)
    return "" if quantity is None or quantity.value is None else f"{round(quantity.value, 4):.10g}"


def _csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; a negative number stays one."""
    if cell[:1] in "=+-@\t\r" and cell:
        try:
            float(cell)
        except ValueError:
            return f"'{cell}"
    return cell

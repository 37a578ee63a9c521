"""Agreement of two read-outs as plain text (ASCII, under 120 columns) and as CSV."""

from __future__ import annotations

from collections.abc import Iterator

from autolv.evaluation.readers import MEASURES
from autolv.reporting._text import grid, interval, number
from autolv.reporting.sheets import cell, csv_text
from autolv.schema.readers import QuantityAgreement, ReaderRange, ReadoutAgreement

_HEAD = ("", "n", "r", "ICC(2,1)", "bias", "SD", "lower limit", "upper limit", "MAE")
_DIGITS = {"r": 3, "icc": 3, "bias": 2, "sd": 2, "lower_limit": 1, "upper_limit": 1, "mae": 2}
_SIGNED = ("bias", "lower_limit", "upper_limit")
_WORDS = {"difference": "differences", "icc": "ICC"}


def readers_table(report: ReadoutAgreement) -> str:
    """Return each quantity's agreement with its intervals, and what was published of readers among themselves."""
    rows = [line for quantity in report.quantities for line in _lines(quantity)]
    lines = [f"Read-outs of {report.patients} patients (prediction - reference; below each value its 95 % interval)"]
    lines += grid(_HEAD, rows) if rows else ["No patient has a phase on both sides from which a quantity follows."]
    published = [
        (quantity.quantity, _WORDS[known.measure], _range(known), known.source)
        for quantity in report.quantities
        for known in quantity.published
    ]
    if published:
        lines += ["", "Readers among themselves, as published (other patients, other protocols)"]
        lines += grid(("", "measure", "range", "source"), _once(published), left=4)
    return "\n".join(
        [
            *lines,
            "",
            "ICC(2,1): two-way random effects, absolute agreement, single reading (Shrout & Fleiss 1979), which falls with",
            "a bias as r does not. Limits: bias -+ 1.96 SD (Bland & Altman 1986). Intervals: bootstrap of patients.",
        ]
    )


def readers_csv(report: ReadoutAgreement) -> str:
    """Return CSV text: a row per quantity; each measure with the bounds of its 95 % interval; undefined cells are empty."""
    head = ["quantity", "patients"]
    head += [f"{name}{part}" for name in MEASURES for part in ("", "_lower_95", "_upper_95")]
    rows = []
    for quantity in report.quantities:
        row = [quantity.quantity, str(quantity.n)]
        for name in MEASURES:
            estimate = getattr(quantity, name)
            row += [cell(value) for value in (estimate.value, *estimate.interval)]
        known = (f"{_WORDS[one.measure]} {_range(one)} ({one.source})" for one in quantity.published)
        rows.append([*row, "; ".join(known)])
    return csv_text([*head, "published between readers"], rows)


def _lines(quantity: QuantityAgreement) -> Iterator[tuple[str, ...]]:
    values, bounds = [], []
    for name in MEASURES:
        estimate, digits, signed = getattr(quantity, name), _DIGITS[name], name in _SIGNED
        values.append(number(estimate.value, digits, signed=signed))
        bounds.append(_short(interval(estimate.interval, digits, signed=signed)))
    yield (quantity.quantity, str(quantity.n), *values)
    yield ("", "", *bounds)


def _short(bounds: str) -> str:
    return bounds if bounds.startswith(("+", "-")) else bounds.replace(" to ", "-")


def _range(known: ReaderRange) -> str:
    digits = 2 if known.measure == "icc" else 1
    return f"{number(known.lower, digits)} to {number(known.upper, digits)}"


def _once(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """Return the rows with a quantity's name in its first one only."""
    names = [""] + [row[0] for row in rows]
    return [("" if row[0] == before else row[0], *row[1:]) for row, before in zip(rows, names, strict=False)]

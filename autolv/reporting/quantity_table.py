"""The table of quantities of one read-out: absolute, indexed, by which convention, or why there is no value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autolv.readout.dictionary import DICTIONARY
from autolv.readout.function import INDEXED
from autolv.reporting._html import escaped
from autolv.reporting._text import label_of, number
from autolv.schema.readout import NormalRange, Quantity, Readout

UNDEFINED = "–"
_UNITS = {"m2": "m²", "ml/m2": "ml/m²", "g/m2": "g/m²", "l/min/m2": "l/min/m²"}
_PARTS = (
    ("Left ventricle", ("lv_volume_ml", "lv_wall_volume_ml", "lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent",
                        "lv_co_l_per_min", "lv_edv_at_frame_ml", "lv_esv_at_frame_ml")),
    ("Myocardium", ("lv_ed_mass_g", "lv_es_mass_g", "lv_mass_difference_percent", "lv_papillary_mass_g",
                    "lv_ed_thickest_segment_mm")),
    ("Ejection and filling", ("lv_peak_ejection_ml_per_s", "lv_peak_ejection_edv_per_s", "lv_time_to_peak_ejection_ms",
                              "lv_peak_filling_ml_per_s", "lv_peak_filling_edv_per_s", "lv_time_to_peak_filling_ms",
                              "lv_time_to_80_percent_recovery_ms")),
    ("Right ventricle", ("rv_volume_ml", "rv_edv_ml", "rv_esv_ml", "rv_sv_ml", "rv_ef_percent")),
    ("Patient", ("rr_ms", "heart_rate_per_min", "body_surface_m2")),
)  # fmt: skip
_HEAD = (("", "Quantity"), ("number", "Value"), ("number", "Indexed"), ("", "Normal, why blank, or look at"))
# the quantities beside which a flag of the read-out is shown
_FLAGGED: Mapping[str, tuple[str, ...]] = {
    "ed_in_cycle": ("lv_edv_ml",), "systole": ("lv_esv_ml",), "cycle_ends": ("lv_ef_percent", "rr_ms"),
    "roughness": ("lv_edv_ml", "lv_esv_ml"), "handedness": ("lv_ed_thickest_segment_mm",),
}  # fmt: skip


def unit_text(unit: str) -> str:
    """Return a unit as people write it."""
    return _UNITS.get(unit, unit)


def value_text(name: str, quantity: Quantity) -> str:
    """Return a quantity's value with its decimals, without its unit."""
    return UNDEFINED if quantity.value is None else number(quantity.value, DICTIONARY[name].digits)


def interval_text(name: str, quantity: Quantity) -> str:
    """Return a quantity's interval with its decimals, without its unit; empty where there is none."""
    if quantity.interval is None:
        return ""
    low, high = (number(bound, DICTIONARY[name].digits) for bound in quantity.interval)
    return f"({low} to {high})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One line: ``name`` of its quantity (empty where it stands for several), ``mark`` the letter of its convention.

    ``value`` and ``indexed`` are texts with their units, ``notes`` the reasons for what is blank, ``flags`` the checks
    that ask for a look.
    """

    name: str
    label: str
    mark: str = ""
    value: str
    indexed: str = ""
    index_reason: str = ""
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def table_parts(readout: Readout) -> tuple[list[tuple[str, list[TableRow]]], dict[str, str]]:
    """Return the parts of the table by title, and the conventions by their letters a, b, ..."""
    conventions: dict[str, str] = {}
    parts = []
    for title, names in _PARTS:
        there = [name for name in names if name in readout.quantities]
        if not there:
            continue
        reasons = {readout.quantities[name].reason for name in there}
        if len(there) > 1 and len(reasons) == 1 and "" not in reasons:
            labels = ", ".join(dict.fromkeys(DICTIONARY[name].label for name in there))
            parts.append((title, [TableRow(name="", label=labels, value=UNDEFINED, notes=(reasons.pop(),))]))
        else:
            parts.append((title, [_row(readout, name, conventions) for name in there]))
    return parts, {letter: words for words, letter in conventions.items()}


def quantity_table(readout: Readout) -> str:
    """Return the table (HTML), its conventions lettered and listed below it."""
    parts, conventions = table_parts(readout)
    rows = []
    for title, lines in parts:
        rows += [f'<tr class="part"><td colspan="4">{title}</td></tr>', *map(_html_row, lines)]
    listed = "".join(f"<li>{escaped(words)}</li>" for words in conventions.values())
    head = "".join(f'<th class="{kind}">{words}</th>' for kind, words in _HEAD)
    return (
        f'<table class="values"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'<ol class="conventions">{listed}</ol>{_expectation(readout)}'
    )


def _expectation(readout: Readout) -> str:
    """Return a paragraph on the quality that the model expects, empty where it tells none."""
    if not readout.expected_dice:
        return ""
    phases = [
        f"{phase} " + ", ".join(f"{label_of(name)} {number(value, 2)}" for name, value in dice.items())
        for phase, dice in readout.expected_dice.items()
    ]
    words = f"Dice that the model expects of its labels: {'; '.join(phases)}."
    if any(quantity.interval is not None for quantity in readout.quantities.values()):
        level = 100 * (readout.interval_level or 0)
        words += (
            f" In brackets: where {level:.0f} % of true values lie, by the model's errors on patients it had not seen."
        )
    return f'<p class="note" id="expected">{escaped(words)}</p>'


def _row(readout: Readout, name: str, conventions: dict[str, str]) -> TableRow:
    quantity = readout.quantities[name]
    index_name = INDEXED.get(name, ("", ""))[0]
    index = readout.quantities.get(index_name)
    notes = [] if quantity.value is not None else [quantity.reason]
    surface = readout.quantities.get("body_surface_m2")
    told = "" if surface is None else surface.reason  # stands in its own row
    if index is not None and index.value is None and quantity.value is not None and index.reason != told:
        notes.append(f"not indexed: {index.reason}")
    mark = _mark(conventions, quantity.convention) if quantity.value is not None and quantity.convention else ""
    flags = [flag.check.replace("_", " ") for flag in readout.flags if name in _FLAGGED.get(flag.check, ())]
    outside = readout.outside_normal()
    for one in (name, index_name):
        if one in readout.normal:
            notes.append(f"{_range_text(one, readout.normal[one])} ({_mark(conventions, readout.normal[one].source)})")
            if one in outside:
                flags.append(f"{_index_word(one)}{outside[one]} normal")
    return TableRow(
        name=name, label=DICTIONARY[name].label, mark=mark,
        value=_with_unit(name, quantity), indexed="" if index is None else _with_unit(index_name, index),
        index_reason="" if index is None else index.reason, notes=tuple(notes),
        flags=tuple(flags),
    )  # fmt: skip


def _mark(conventions: dict[str, str], words: str) -> str:
    """Return the letter of a convention or a source, the next one where it is new."""
    return conventions.setdefault(words, _letter(len(conventions)))


def _range_text(name: str, normal: NormalRange) -> str:
    digits, unit = DICTIONARY[name].digits, unit_text(DICTIONARY[name].unit)
    return f"normal {_index_word(name)}{number(normal.low, digits)} to {number(normal.high, digits)} {unit}"


def _index_word(name: str) -> str:
    return "index " if any(name == index for index, _ in INDEXED.values()) else ""


def _html_row(row: TableRow) -> str:
    if not row.name:
        return (f'<tr><td>{escaped(row.label)}</td><td class="number">{row.value}</td><td></td>'
                f'<td class="why">{escaped(row.notes[0])}</td></tr>')  # fmt: skip
    why = [*map(escaped, row.notes), *(f'<span class="flag">⚑ {escaped(words)}</span>' for words in row.flags)]
    mark = f"<sup>{row.mark}</sup>" if row.mark else ""
    return (
        f'<tr><td title="{escaped(DICTIONARY[row.name].text)}">{escaped(row.label)}{mark}</td>'
        f'<td class="number" data-name="{escaped(row.name)}">{escaped(row.value)}</td>'
        f'<td class="number" title="{escaped(row.index_reason)}">{escaped(row.indexed)}</td>'
        f'<td class="why">{"; ".join(why)}</td></tr>'
    )


def _with_unit(name: str, quantity: Quantity) -> str:
    text = value_text(name, quantity)
    if quantity.value is None:
        return text
    bounds = interval_text(name, quantity)
    return f"{text} {unit_text(quantity.unit)}{f' {bounds}' if bounds else ''}"


def _letter(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ... as a list numbered by letters has them."""
    return chr(97 + index) if index < 26 else _letter(index // 26 - 1) + _letter(index % 26)

"""The page of many cases: a table that sorts, the doubtful ones first, with thumbnails and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.reporting._drawing import line, plain, text, ticks
from autolv.reporting._html import asset, data_uri, escaped, standalone_page
from autolv.reporting.bland_altman import LINES, Comparison, bland_altman_svg
from autolv.reporting.quantity_table import unit_text, value_text
from autolv.reporting.sprites import Pictures, jpeg, outlines, resized, view_of
from autolv.reporting.verdict_box import UNJUDGED, WORDS, level_of
from autolv.schema.readout import Quantity, Readout, ReadoutStatus

_COLUMNS = (
    ("lv_edv_ml", "EDV"), ("lv_esv_ml", "ESV"), ("lv_ef_percent", "EF"), ("lv_ed_mass_g", "Mass"), ("rv_ef_percent", "RV EF"),
)  # fmt: skip
_CHARTS = (
    ("lv_ef_percent", "Ejection fraction"),
    ("lv_edv_ml", "End-diastolic volume"),
    ("lv_ed_mass_g", "LV mass (ED)"),
)
_RANK = {"fail": 0, "review": 1, UNJUDGED: 2, "pass": 3}
_SHORT = {UNJUDGED: "not judged"}
_THUMB = 148  # pixels across, shown at half of that
_COLOURS = {LV_CAVITY: (230, 159, 0), LV_MYOCARDIUM: (86, 180, 233), RV_CAVITY: (204, 121, 167)}
_END = 16.0  # units of a histogram's drawing beyond its last bar: half of a number's width
_FEWEST = 3  # cases of which a histogram says something


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """One case of the cohort: its read-out, the name of its page, a picture as JPEG, the read-out of its reference."""

    readout: Readout
    page: str
    thumbnail: bytes
    reference: Readout | None = None


def cohort_page(
    rows: Sequence[CohortRow], failed: Sequence[ReadoutStatus], version: str, comparisons: Sequence[Comparison] = (), *,
    note: str = "",
) -> str:  # fmt: skip
    """Return the page: worst verdict first, then by the number of findings and flags, then by name.

    ``comparisons`` with references are drawn where there are any, with ``note`` on what a reader must know of them.
    """
    ordered = sorted(rows, key=_worst_first)
    levels = [level_of(row.readout) for row in rows]
    counts = ", ".join(f"{levels.count(level)} {WORDS[level].lower()}" for level in _RANK if level in levels)
    lines = "".join(_row(rank, row) for rank, row in enumerate(ordered))
    heads = "".join(
        f'<th class="sortable{name}"><button type="button">{words}</button></th>'
        for words, name in (("Case", ""), ("Group", ""), ("Verdict", ""), *((w, " number") for _, w in _COLUMNS))
    )
    lost = "".join(f"<li><b>{escaped(one.case)}</b>: {escaped(one.message)}</li>" for one in failed)
    body = [
        f"<h1>LV read-outs of {len(rows)} case{'' if len(rows) == 1 else 's'}</h1>",
        f'<p class="note">{escaped(counts)}. Tables: <a href="readout.csv">readout.csv</a>, its columns explained in '
        '<a href="columns.csv">columns.csv</a>. Click a heading to sort.</p>',
        f'<section class="verdict fail"><strong>Not read out ({len(failed)})</strong><ul>{lost}</ul></section>'
        if lost
        else "",
        f'<div class="wide"><table class="cohort"><thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>',
        _charts([row.readout for row in rows]),
        _agreement(rows, comparisons, note),
        f"<footer>autolv {escaped(version)}. For research use only: this is not a medical device.</footer>",
    ]
    return standalone_page("LV read-outs", "\n".join(body), style=asset("report.css"), script=asset("cohort.js"))


def thumbnail(pictures: Pictures, frame: int) -> bytes:
    """Return the middle labelled slice of a frame with its outlines as JPEG."""
    rows, columns = view_of(pictures)
    labels = pictures.labels[frame]
    occupied = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    z = int(occupied[len(occupied) // 2]) if occupied.size else len(labels) // 2
    shown = np.asarray(labels[z, rows, columns])
    high = round(_THUMB * shown.shape[0] * pictures.spacing_mm[1] / (shown.shape[1] * pictures.spacing_mm[2]))
    grey = np.zeros((high, _THUMB), dtype=np.uint8)
    image = pictures.images.get(frame)
    if image is not None:
        part = np.asarray(image[z, rows, columns], dtype=np.float32)
        low, top = (float(value) for value in np.nanpercentile(part, (0.5, 99.5)))
        scaled = np.clip((np.nan_to_num(part, nan=low) - low) * (255.0 / max(top - low, 1e-6)), 0, 255)
        grey = resized(scaled.astype(np.uint8), grey.shape)
    picture = np.repeat(grey[:, :, None], 3, axis=2)  # (y, x, colour)
    for channel, name in reversed(list(enumerate(pictures.structures, start=1))):
        for points in outlines(shown == channel):
            dense = np.linspace(points[:-1], points[1:], 6, axis=1).reshape(-1, 2)
            x = ((dense[:, 0] + 1) / 2 * _THUMB / shown.shape[1]).astype(int).clip(0, _THUMB - 1)
            y = ((dense[:, 1] + 1) / 2 * high / shown.shape[0]).astype(int).clip(0, high - 1)
            picture[y, x] = _COLOURS[name]
    return jpeg(picture, 80)


def _worst_first(row: CohortRow) -> tuple[int, int, str]:
    verdict = row.readout.verdict
    findings = 0 if verdict is None else len(verdict.findings)
    return _RANK[level_of(row.readout)], -findings - len(row.readout.flags), row.readout.case


def _row(rank: int, row: CohortRow) -> str:
    one, level = row.readout, level_of(row.readout)
    reasons = [] if one.verdict is None else [finding.message for finding in one.verdict.findings]
    reasons += [flag.message for flag in one.flags]
    more = (
        f' <span class="note" title="{escaped(" ".join(reasons))}">{len(reasons)} to look at</span>' if reasons else ""
    )
    picture = f'<img class="thumb" alt="" src="{data_uri(row.thumbnail)}">'
    cells = [
        f'<td><a href="{escaped(row.page)}" tabindex="-1">{picture}</a></td>',
        f'<td data-key="{escaped(one.case)}"><a href="{escaped(row.page)}">{escaped(one.case)}</a></td>',
        f'<td data-key="{escaped(one.group or "")}">{escaped(one.group or "")}</td>',
        f'<td data-key="{rank}"><span class="badge {level}">{_SHORT.get(level, WORDS[level])}</span>{more}</td>',
    ]
    for name, _ in _COLUMNS:
        quantity = one.quantities.get(name, Quantity(value=None, unit="", reason="not read out"))
        key = "" if quantity.value is None else f"{quantity.value:.6g}"
        unit = "" if quantity.value is None else f" {escaped(unit_text(quantity.unit))}"
        cells.append(
            f'<td class="number" data-key="{key}" title="{escaped(quantity.reason)}">{value_text(name, quantity)}{unit}</td>'
        )
    return f"<tr>{''.join(cells)}</tr>"


def _charts(readouts: Sequence[Readout]) -> str:
    drawings = []
    for name, title in _CHARTS:
        found = [one.quantities[name] for one in readouts if name in one.quantities]
        values = [quantity.value for quantity in found if quantity.value is not None]
        if len(values) >= _FEWEST:
            drawings.append(histogram_svg(values, title, unit_text(found[0].unit)))
    return f'<h2>Distributions</h2><div class="charts">{"".join(drawings)}</div>' if drawings else ""


def _agreement(rows: Sequence[CohortRow], comparisons: Sequence[Comparison], note: str) -> str:
    if not comparisons:
        return ""
    count = sum(row.reference is not None for row in rows)
    drawings = "".join(bland_altman_svg(one) for one in comparisons)
    return (
        f'<h2>Agreement with the reference</h2><div class="charts agreements">{drawings}</div><p class="note">{count} of '
        f"{len(rows)} cases have a reference; it is read out by the same rules. {LINES} "
        f'Values: <a href="reference.csv">reference.csv</a>. {escaped(note)}</p>'
    )


def histogram_svg(values: Sequence[float], title: str, unit: str) -> str:
    """Return a histogram with round bounds, the number of values and their median."""
    low, high = min(values), max(values)
    marks = ticks(low, high, 8)
    step = marks[1] - marks[0] if len(marks) > 1 else max(high - low, 1.0)
    first = np.floor(low / step) * step
    edges = np.arange(first, high + step * 1.001, step)
    counts, edges = np.histogram(values, bins=edges)
    width, height, left, top, bottom = 300.0, 184.0, 26.0, 38.0, 34.0
    each, tall = (width - left - _END) / len(counts), height - top - bottom
    most = max(int(counts.max()), 1)
    middle = f"{len(values)} cases, median {plain(round(float(np.median(values)), 1))} {unit}"
    parts = [
        f'<svg class="drawing" viewBox="0 0 {plain(width)} {plain(height)}" role="img" aria-label="{escaped(title)}">',
        text(left, 13, title, "title", "start"), text(left, 27, middle, "tick", "start"),
    ]  # fmt: skip
    for value in [tick for tick in ticks(0, most, 4) if tick == int(tick)]:
        y = top + tall * (1 - value / most)
        parts += [line(left, y, width - _END, y, "grid"), text(left - 4, y + 4, plain(value), "tick", "end")]
    every = max(1, round(len(counts) / 6))
    for index, count in enumerate(counts):
        x, bar = left + index * each, tall * int(count) / most
        parts.append(
            f'<rect x="{plain(x + 1)}" y="{plain(top + tall - bar)}" width="{plain(each - 2)}" height="{plain(bar)}" '
            'class="bar"/>'
        )
    for index in range(0, len(edges), every):
        parts.append(text(left + index * each, height - bottom + 15, plain(float(edges[index])), "tick"))
    return "".join([*parts, line(left, top + tall, width - _END, top + tall, "axis"),
                    text((left + width) / 2, height - 4, unit, "tick"), "</svg>"])  # fmt: skip

"""The report of one case for paper: two pages of A4 as PDF, or both beside each other as one PNG."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autolv.reporting._canvas import INK, colour_of, sheet
from autolv.reporting._setting import A4_POINTS, Setting, axes_at
from autolv.reporting._text import label_of
from autolv.reporting.case_drawings import FLAGGED, SOFT, draw_bullseye, draw_curve, draw_cut, draw_slices, grid_of
from autolv.reporting.case_parts import (
    DISCLAIMER,
    HEADLINE,
    coverage,
    cut_frame,
    cuts_of,
    facts_of,
    flagged_slices,
    phases_shown,
    thickness_bounds_mm,
)
from autolv.reporting.methods import methods_text
from autolv.reporting.quantity_table import TableRow, table_parts, unit_text, value_text
from autolv.reporting.sprites import Pictures, view_of
from autolv.reporting.verdict_box import MEANING, WORDS, findings_by_place, level_of, other_frames, other_reasons
from autolv.schema.readout import Readout

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_WIDE, _HIGH = A4_POINTS
_LEFT, _TOP, _BOTTOM = 32.0, 28.0, 30.0
_ACROSS = _WIDE - 2 * _LEFT
_CURVE = 132.0  # points that the curve is high
_ROW = 150.0  # and the row of bullseyes and cuts
_WIDEST_TILE = 150.0
_DPI = 150
_PANEL = "#F5F6F8"
_TONES = {"pass": "#1A7F37", "review": "#9A6700", "fail": "#C1121F"}
# from large letters and all reasons on to smaller letters and fewer, until page one holds all
_TRIES = ((1.0, 1000), (0.92, 1000), (0.85, 1000), (0.85, 16), (0.8, 10), (0.75, 6), (0.7, 3))
_DRAWING = threading.Lock()  # the fonts that all figures share are not made for several threads


def case_pdf(readout: Readout, pictures: Pictures, version: str) -> bytes:
    """Return the two pages as PDF, the same bytes for the same case; ``version`` is autolv's."""
    from matplotlib.backends.backend_pdf import PdfPages

    written = io.BytesIO()
    metadata = {"Title": f"{readout.case}: LV read-out", "Creator": f"autolv {version}", "CreationDate": None}
    with _DRAWING:
        pages = [sheet(_WIDE / 72, _HIGH / 72, arranged=False) for _ in range(2)]
        _draw(pages, readout, pictures, version)
        with PdfPages(written, metadata=metadata) as file:
            for page in pages:
                file.savefig(page, dpi=_DPI)
    return written.getvalue()


def case_png(readout: Readout, pictures: Pictures, version: str) -> bytes:
    """Return the two pages beside each other as one PNG, the same bytes for the same case."""
    written = io.BytesIO()
    with _DRAWING:
        figure = sheet(2 * _WIDE / 72, _HIGH / 72, arranged=False)
        _draw(list(figure.subfigures(1, 2, wspace=0.0, squeeze=False)[0]), readout, pictures, version)
        figure.savefig(written, format="png", dpi=_DPI)
    return written.getvalue()


def _draw(pages: Sequence[Figure | SubFigure], readout: Readout, pictures: Pictures, version: str) -> None:
    first, second = pages
    told = _told(readout, version)
    told.draw(first)
    fits = told.y + (26 if readout.curve is None else 26 + _CURVE) <= _HIGH - _BOTTOM
    if fits:
        _curve(first, readout, told.y + 8)
    _pictures(second, readout, pictures, with_curve=not fits)
    for number, page in enumerate(pages, start=1):
        _foot(page, readout, version, number)


def _told(readout: Readout, version: str) -> Setting:
    """Return the first page's words, as large as they fit."""
    for scale, most in _TRIES:
        page = Setting(left=_LEFT, top=_TOP, width=_ACROSS, scale=scale)
        page.words(readout.case, 15, bold=True, most_lines=2)
        page.words(
            " · ".join(f"{name}: {value}" for name, value in facts_of(readout, version)), 7.5, colour=SOFT, most_lines=4
        )
        page.space(6)
        _verdict(page, readout, most)
        page.space(8)
        _headline(page, readout)
        page.space(6)
        _table(page, readout)
        page.space(8)
        page.words("Methods", 9.5, bold=True)
        page.words(methods_text(readout, version), 7, most_lines=14)
        if page.y <= _HIGH - _BOTTOM:
            break
    return page


def _verdict(page: Setting, readout: Readout, most: int) -> None:
    level, top, inner = level_of(readout), page.y, _LEFT + 10
    tone, width = _TONES.get(level, SOFT), _ACROSS - 16
    page.space(5)
    page.words(f"{WORDS[level]}: {MEANING[level]}.", 9.5, x=inner, width=width, bold=True, colour=tone)
    reasons = [
        f"• {WORDS[worst.level]}: {' '.join([worst.message, other_frames(others)]).strip()}"
        for worst, others in findings_by_place(readout)
    ]
    reasons += [f"• {words}" for words in other_reasons(readout)]
    for words in reasons[:most]:
        page.words(words, 7.5, x=inner, width=width, most_lines=3)
    if len(reasons) > most:
        page.words(
            f"• and {len(reasons) - most} more, which stand in the page and the record of this case", 7.5, x=inner
        )
    left = () if readout.verdict is None else readout.verdict.not_checked
    if left:
        words = "; ".join(f"{one.check.replace('_', ' ')} ({one.reason})" for one in left)
        page.words(f"Not checked: {words}.", 6.5, x=inner, width=width, colour=SOFT, most_lines=3)
    page.space(5)
    page.box(top, page.y - top, _PANEL)
    page.box(top, page.y - top, tone, width=3.5)


def _headline(page: Setting, readout: Readout) -> None:
    shown = [(name, label) for name, label in HEADLINE if name in readout.quantities]
    top = bottom = page.y
    for index, (name, label) in enumerate(shown):
        page.y, x, width = top, _LEFT + index * _ACROSS / len(shown), _ACROSS / len(shown) - 4
        page.words(label, 7, x=x, width=width, colour=SOFT)
        quantity = readout.quantities[name]
        unit = "" if quantity.value is None else f" {unit_text(quantity.unit)}"
        page.words(f"{value_text(name, quantity)}{unit}", 12.5, x=x, width=width, bold=True)
        bottom = max(bottom, page.y)
    page.y = bottom


def _table(page: Setting, readout: Readout) -> None:
    parts, conventions = table_parts(readout)
    page.words("Quantities", 9.5, bold=True)
    _line(page, ("Quantity", "Value", "Indexed", "Normal, why blank, or look at"), colour=SOFT)
    for title, rows in parts:
        page.rule()
        page.words(title, 7, bold=True)
        for row in rows:
            _line(page, _cells(row))
    page.space(2)
    for letter, words in conventions.items():
        page.words(f"{letter}: {words}", 6.3, colour=SOFT, most_lines=2)


def _cells(row: TableRow) -> tuple[str, str, str, str]:
    label = f"{row.label} ({row.mark})" if row.mark else row.label
    return label, row.value, row.indexed, "; ".join([*row.notes, *(f"⚑ {words}" for words in row.flags)])


def _line(page: Setting, cells: tuple[str, str, str, str], colour: str = INK) -> None:
    top = bottom = page.y
    label, value, indexed, why = cells
    places: tuple[tuple[str, float, float, bool], ...] = (
        (label, 0, 178, False), (value, 178, 62, True), (indexed, 244, 70, True), (why, 326, _ACROSS - 326, False),
    )  # fmt: skip
    for words, x, width, right in places:
        if words:
            page.y = top
            page.words(words, 7, x=_LEFT + x, width=width, align="right" if right else "left", most_lines=3,
                       colour=SOFT if x > 300 else colour)  # fmt: skip
            bottom = max(bottom, page.y)
    page.y = bottom


def _curve(page: Figure | SubFigure, readout: Readout, top: float) -> float:
    """Draw the curve, or say why there is none; return how far down it reaches."""
    head = Setting(left=_LEFT, top=top, width=_ACROSS)
    head.words("Volume over the cycle", 9.5, bold=True)
    if readout.curve is None:
        head.words(f"No curve: {readout.curve_reason}.", 7, colour=SOFT, most_lines=3)
    else:
        axes = axes_at(page, _LEFT + 24, head.y + 10, _ACROSS - 120, _CURVE - 36)
        draw_curve(axes, readout, readout.curve)
        head.y += _CURVE
    head.draw(page)
    return head.y


def _pictures(page: Figure | SubFigure, readout: Readout, pictures: Pictures, *, with_curve: bool) -> None:
    top = _curve(page, readout, _TOP) + 4 if with_curve else _TOP
    view = view_of(pictures)
    shown = phases_shown(readout, pictures)
    rows, columns = pictures.labels[shown[0][0]][0, *view].shape
    ratio = rows * pictures.spacing_mm[1] / (columns * pictures.spacing_mm[2])
    each = (_HIGH - _BOTTOM - _ROW - 46 - top) / len(shown) - 18
    across, tile = grid_of(pictures.slice_count, _ACROSS, each, ratio, _WIDEST_TILE)
    high = tile * ratio * -(-pictures.slice_count // across)
    for frame, words in shown:
        head = Setting(left=_LEFT, top=top, width=_ACROSS)
        head.words(f"{words}, frame {frame}", 9.5, bold=True)
        head.draw(page)
        axes = axes_at(page, _LEFT, head.y + 3, tile * across, high)
        draw_slices(axes, pictures, view, frame, across, flagged_slices(readout, frame))
        top = head.y + high + 6
    _key(page, readout, pictures, top)
    _regional(page, readout, pictures, top + 18)


def _key(page: Figure | SubFigure, readout: Readout, pictures: Pictures, top: float) -> None:
    setting, x = Setting(left=_LEFT, top=top, width=_ACROSS), _LEFT
    entries = [(label_of(name), colour_of(name)) for name in pictures.structures]
    if any(flagged_slices(readout, frame) for frame, _ in phases_shown(readout, pictures)):
        entries.append(("slice with a finding", FLAGGED))
    for words, colour in entries:
        setting.box(top + 5, 2, colour, x=x, width=12)
        setting.y = top
        setting.words(words, 7, x=x + 16, colour=SOFT)
        x += 100
    if not pictures.images:
        setting.y = top
        setting.words("No images were given: contours alone are shown.", 7, x=x, colour=SOFT)
    setting.draw(page)


def _regional(page: Figure | SubFigure, readout: Readout, pictures: Pictures, top: float) -> None:
    quarter, note = _ACROSS / 4, Setting(left=_LEFT, top=top + _ROW - 12, width=_ACROSS)
    words = []
    if readout.segments:
        for index, (title, unit, value_of, bounds, digits) in enumerate((
            ("Thickness, end-diastole", "mm", lambda s: s.ed_mm, thickness_bounds_mm(readout), 1),
            ("Thickening", "%", lambda s: s.thickening_percent, (0.0, 100.0), 0),
        )):  # fmt: skip
            axes = axes_at(page, _LEFT + index * quarter, top + 10, quarter - 8, _ROW - 24)
            draw_bullseye(axes, readout.segments, title, unit, value_of, bounds, digits)
        turn = "" if readout.orientation is None else f" Orientation: {readout.orientation.turn_rule}."
        words.append(f"Anterior is above, the septum on the left.{turn}")
    else:
        none = Setting(left=_LEFT, top=top, width=2 * quarter - 14)
        none.words("Wall thickness", 9.5, bold=True)
        none.words(f"No segments: {readout.regional_reason}.", 7, colour=SOFT, most_lines=8)
        none.draw(page)
    frame = cut_frame(readout, pictures)
    directions, base_first = cuts_of(readout)
    drawn = [
        draw_cut(axes_at(page, _LEFT + (2 + index) * quarter + 4, top + 10, quarter - 8, _ROW - 24), pictures, frame, degrees,
                 title, base_first=base_first)
        for index, (degrees, title) in enumerate(directions)
    ]  # fmt: skip
    if any(drawn):
        words.append(f"Cuts of frame {frame}: {coverage(pictures, frame)}")
    note.words(" ".join(words), 6.5, colour=SOFT, most_lines=3)
    note.draw(page)


def _foot(page: Figure | SubFigure, readout: Readout, version: str, number: int) -> None:
    foot = Setting(left=_LEFT, top=_HIGH - 24, width=_ACROSS)
    foot.words(f"autolv {version}. {DISCLAIMER}", 6.5, colour=SOFT, width=_ACROSS * 0.6, most_lines=1)
    foot.y = _HIGH - 24
    foot.words(
        f"page {number} of 2, {readout.case}", 6.5, x=_LEFT + _ACROSS * 0.6, colour=SOFT, align="right", most_lines=1
    )
    foot.draw(page)

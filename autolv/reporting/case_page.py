"""The page of one case: verdict, quantities, curve, viewer, every slice, bullseyes, long axis, methods."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.reporting._canvas import colour_of
from autolv.reporting._html import asset, escaped, standalone_page, table
from autolv.reporting._text import label_of, number
from autolv.reporting.bullseye import bullseye_svg
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
from autolv.reporting.curve_drawing import curve_svg
from autolv.reporting.long_axis import long_axis_svg
from autolv.reporting.methods import methods_text
from autolv.reporting.montage import montage_svg
from autolv.reporting.quantity_table import UNDEFINED, quantity_table, unit_text, value_text
from autolv.reporting.sprites import Pictures, chain, sheets_of, view_of
from autolv.reporting.verdict_box import verdict_box
from autolv.schema.readout import Quantity, Readout

_KEYS = {LV_CAVITY: "key-lv", LV_MYOCARDIUM: "key-wall", RV_CAVITY: "key-rv"}
_FRAME_MS = 40  # between frames of the viewer, where the cine's own time is not known
_SLOWEST_MS, _FASTEST_MS = 150, 25


def case_page(readout: Readout, pictures: Pictures, version: str, *, index: str = "") -> str:
    """Return the page; ``version`` is autolv's, ``index`` the name of the cohort's page beside it, where there is one."""
    view = view_of(pictures)
    back = f'<p class="screen"><a href="{escaped(index)}">All cases</a></p>' if index else ""
    body = [
        "<header>", back, f"<h1>{escaped(readout.case)}</h1>", _facts(readout, version), "</header>",
        verdict_box(readout), _headline(readout), _curve(readout),
        _viewer(readout, pictures),
        "<h2>Quantities</h2>" + quantity_table(readout),
        _phases(readout, pictures, view), _regional(readout), _long_axis(readout, pictures), _slices(readout),
        f"<h2>Methods, to paste</h2><blockquote>{escaped(methods_text(readout, version))}</blockquote>",
        f"<footer>autolv {escaped(version)}. {DISCLAIMER}</footer>",
    ]  # fmt: skip
    return standalone_page(
        f"{readout.case}: LV read-out", "\n".join(body), style=asset("report.css"), script=asset("viewer.js"),
        data=viewer_data(readout, pictures, view),
    )  # fmt: skip


def _facts(readout: Readout, version: str) -> str:
    items = "".join(f"<li>{name} <b>{escaped(value)}</b></li>" for name, value in facts_of(readout, version))
    return f'<ul class="facts">{items}</ul>'


def _headline(readout: Readout) -> str:
    cards = []
    for name, label in HEADLINE:
        quantity = readout.quantities.get(name)
        if quantity is None:
            continue
        unit = "" if quantity.value is None else f" <small>{escaped(unit_text(quantity.unit))}</small>"
        cards.append(f"<div><span>{label}</span><b>{value_text(name, quantity)}</b>{unit}</div>")
    return f'<div class="headline">{"".join(cards)}</div>'


def _curve(readout: Readout) -> str:
    if readout.curve is None:
        return f'<h2>Volume over the cycle</h2><p class="note">No curve: {escaped(readout.curve_reason)}.</p>'
    curve = readout.curve
    names = [(LV_CAVITY, "LV cavity: points as measured, line fitted")]
    names += [(LV_MYOCARDIUM, "LV myocardium (should be level)")] if curve.wall_ml else []
    names += [(RV_CAVITY, "RV cavity")] if curve.rv_ml else []
    keys = "".join(f'<span><i class="{_KEYS[name]}"></i>{words}</span>' for name, words in names)
    return (
        f'<h2>Volume over the cycle</h2><figure>{curve_svg(readout)}</figure><div class="legend">{keys}</div>'
        f'<p class="note">{escaped(_sentence(readout.method.phases_rule))}; time: {escaped(readout.method.time_rule)}.</p>'
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _legend(structures: Sequence[str]) -> str:
    keys = "".join(f'<span><i class="{_KEYS[name]}"></i>{escaped(label_of(name))}</span>' for name in structures)
    return f'<div class="legend">{keys}</div>'


def _viewer(readout: Readout, pictures: Pictures) -> str:
    lacking = "" if pictures.images else '<p class="note">No images were given: contours alone are shown.</p>'
    alone = " hidden" if len(pictures.labels) < 2 else ""
    return (
        '<section class="screen"><h2>Images and contours</h2>'
        f'<div class="viewer" id="viewer" tabindex="0" role="group" aria-label="Viewer of {escaped(readout.case)}">'
        '<div class="stage"><canvas id="image" width="640" height="640"></canvas><div class="strip" id="strip"></div></div>'
        '<div class="controls"><div class="row">'
        f'<button type="button" id="play" aria-pressed="false"{alone}>Play</button>'
        '<label><input type="checkbox" id="outlines" checked> contours</label></div>'
        '<label for="frame" id="frame-text">Frame</label><input type="range" id="frame" min="0" value="0" step="1">'
        '<label for="slice" id="slice-text">Slice</label><input type="range" id="slice" min="0" value="0" step="1"></div>'
        '<p class="note">Click the picture, then: left and right step frames, up and down slices, space plays, c hides the '
        f"contours.</p></div>{lacking}{_legend(pictures.structures)}"
        "<noscript><p>Without scripts the pictures below show end-diastole and end-systole.</p></noscript></section>"
    )


def viewer_data(readout: Readout, pictures: Pictures, view: tuple[slice, slice]) -> dict[str, object]:
    """Return what the viewer's script reads: sheets of tiles and chains of outlines per frame, slice and structure."""
    frames = sorted(pictures.labels)
    sheets = sheets_of(pictures, view)
    labels = {number: pictures.labels[number][:, *view] for number in frames}
    depth, rows, columns = labels[frames[0]].shape
    start = frames.index(readout.ed_frame) if readout.ed_frame in frames else 0
    curve = readout.curve
    step = _FRAME_MS if curve is None or curve.frame_time_ms is None else curve.frame_time_ms
    return {
        "frames": frames, "total": len(frames) if frames[-1] == len(frames) else 0, "slices": depth,
        "reversed": pictures.slices_reversed,
        "size": [rows, columns], "ed": readout.ed_frame,
        "es": readout.es_frame, "colours": [colour_of(name) for name in pictures.structures],
        "aspect": rows * pictures.spacing_mm[1] / (columns * pictures.spacing_mm[2]),
        "tile": [1, 1] if sheets is None else list(sheets.tile), "columns": 1 if sheets is None else sheets.columns,
        "sheets": [_coded(None if sheets is None else sheets.jpegs.get(number)) for number in frames],
        "outlines": [[[chain(np.asarray(one == channel)) for channel in range(1, len(pictures.structures) + 1)]
                      for one in labels[number]] for number in frames],
        "start": {"frame": start, "slice": _fullest(labels[frames[start]])},
        "step": 400 if len(frames) == 2 else round(min(max(step, _FASTEST_MS), _SLOWEST_MS)),
    }  # fmt: skip


def _coded(jpeg: bytes | None) -> str:
    return "" if jpeg is None else base64.b64encode(jpeg).decode("ascii")


def _fullest(labels: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> int:
    """Return the middle one of the slices with labels, or of all."""
    occupied = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    chosen = occupied if occupied.size else np.arange(len(labels))
    return int(chosen[len(chosen) // 2])


def _phases(readout: Readout, pictures: Pictures, view: tuple[slice, slice]) -> str:
    figures = []
    for frame, words in phases_shown(readout, pictures):
        drawing = montage_svg(pictures, view, frame, words, flagged_slices(readout, frame))
        figures.append(f"<figure><figcaption>{words}, frame {frame}</figcaption>{drawing}</figure>")
    return f'<h2>Every slice</h2><div class="phases">{"".join(figures)}</div>'


def _regional(readout: Readout) -> str:
    if not readout.segments:
        return f'<h2>Wall thickness</h2><p class="note">No segments: {escaped(readout.regional_reason)}.</p>'
    bulls = [
        bullseye_svg(
            readout.segments, "Thickness, end-diastole", "mm", lambda s: s.ed_mm, thickness_bounds_mm(readout), 1
        ),
        bullseye_svg(readout.segments, "Thickening", "%", lambda s: s.thickening_percent, (0.0, 100.0)),
    ]
    rows = [
        [str(s.number), s.name, *(_cell(q, 1) for q in (s.ed_mm, s.es_mm)), _cell(s.thickening_percent, 0),
         _cell(s.ed_max_mm, 1), _cell(s.es_max_mm, 1)]
        for s in readout.segments
    ]  # fmt: skip
    head = ("", "segment", "ED mm", "ES mm", "thickening %", "ED max mm", "ES max mm")
    turn = "" if readout.orientation is None else f" Orientation: {escaped(readout.orientation.turn_rule)}."
    return (
        f'<h2>Wall thickness</h2><div class="bulls">{"".join(bulls)}</div>'
        f'<p class="note">Anterior is above, the septum on the left.{turn}</p>'
        f'<details><summary>All segments as a table</summary><div class="wide">{table(rows, head)}</div></details>'
    )


def _cell(quantity: Quantity, digits: int) -> str:
    return UNDEFINED if quantity.value is None else number(quantity.value, digits)


def _long_axis(readout: Readout, pictures: Pictures) -> str:
    frame = cut_frame(readout, pictures)
    directions, base_first = cuts_of(readout)
    cuts = [
        long_axis_svg(pictures, frame, degrees, f"{words}, frame {frame}", base_first=base_first)
        for degrees, words in directions
    ]
    if not any(cuts):
        return ""
    return (
        f'<h2>Along the long axis</h2><div class="cuts">{"".join(cuts)}</div><p class="note">{coverage(pictures, frame)} '
        "Each band is a slice, with its number: one that lies aside makes a step.</p>"
    )


def _slices(readout: Readout) -> str:
    if not readout.slices:
        return ""
    rows = [
        [one.phase, str(readout.slice_number(one.index)), one.level or UNDEFINED, *(_area(value) for value in (
            one.lv_cavity_mm2, one.counted_mm2, one.lv_myocardium_mm2, one.rv_cavity_mm2)), _area(one.ring_percent)]
        for one in readout.slices
    ]  # fmt: skip
    head = ("phase", "slice", "level", "LV mm²", "counted mm²", "muscle mm²", "RV mm²", "ring %")
    return f'<details><summary>Areas by slice</summary><div class="wide">{table(rows, head)}</div></details>'


def _area(value: float) -> str:
    return UNDEFINED if value != value else number(value, 0)

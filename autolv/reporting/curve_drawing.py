"""The volume over the cycle as an SVG: frames as measured, the periodic fit, end-diastole and end-systole."""

from __future__ import annotations

import numpy as np

from autolv.reporting._drawing import line, plain, polyline, text, ticks
from autolv.schema.readout import Curve, Readout

_WIDTH, _HEIGHT = 640.0, 310.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 14.0, 28.0, 52.0
_POINTS = 240


def curve_svg(readout: Readout) -> str:
    """Return the drawing; empty text where there is no curve. Its line ``cursor`` is moved by the viewer."""
    curve = readout.curve
    if curve is None:
        return ""
    frames = len(curve.volume_ml)
    measured = np.array(curve.volume_ml)
    others = [series for series in (curve.wall_ml, curve.rv_ml) if series]
    top = max(float(np.nanmax(measured)), *(max(series) for series in others), 1.0) * 1.06
    cycle_ms = None if curve.frame_time_ms is None else curve.frame_time_ms * frames
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(part: float, volume_ml: float) -> tuple[float, float]:
        return _LEFT + part * inner_width, _TOP + (1 - volume_ml / top) * inner_height

    parts = [f'<svg class="drawing curve" viewBox="0 0 {plain(_WIDTH)} {plain(_HEIGHT)}" role="img" '
             f'aria-label="Volume over the cardiac cycle">']  # fmt: skip
    for value in ticks(0.0, top):
        y = at(0, value)[1]
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"), text(_LEFT - 6, y + 4, plain(value), "tick", "end")]
    span, unit = (100.0, "% of the cycle") if cycle_ms is None else (cycle_ms, "ms")
    for value in ticks(0.0, span, 7):
        x = at(value / span, 0)[0]
        parts += [line(x, _HEIGHT - _BOTTOM, x, _HEIGHT - _BOTTOM + 4, "axis"),
                  text(x, _HEIGHT - _BOTTOM + 20, plain(value), "tick")]  # fmt: skip
    parts += [
        line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, "axis"),
        text(_WIDTH / 2, _HEIGHT - 6, unit, "tick"), text(_LEFT - 6, 16, "ml", "tick", "end"),
    ]  # fmt: skip
    for series, name in ((curve.rv_ml, "rv"), (curve.wall_ml, "wall")):
        if series:
            points = [at(index / frames, value) for index, value in enumerate(series)]
            parts.append(polyline(points, f"series {name}"))
    fitted = fit_at(curve, np.linspace(0, (frames - 1) / frames, _POINTS))
    places = np.linspace(0, (frames - 1) / frames, _POINTS)
    parts.append(polyline([at(u, v) for u, v in zip(places.tolist(), fitted, strict=True)], "series lv"))
    for index, value in enumerate(curve.volume_ml):
        if value == value:  # not NaN
            x, y = at(index / frames, value)
            parts.append(f'<circle cx="{plain(x)}" cy="{plain(y)}" r="3" class="dot lv"/>')
    for number, words in ((readout.ed_frame, "ED"), (readout.es_frame, "ES")):
        if number is not None:
            x = at((number - 1) / frames, 0)[0]
            anchor = "start" if x < _LEFT + 20 else "middle"
            parts += [line(x, _TOP, x, _HEIGHT - _BOTTOM, "mark"), text(x, _TOP - 8, words, "mark-text", anchor)]
    parts.append(
        f'<line id="cursor" x1="{plain(_LEFT)}" x2="{plain(_LEFT)}" y1="{plain(_TOP)}" '
        f'y2="{plain(_HEIGHT - _BOTTOM)}" class="cursor" data-left="{plain(_LEFT)}" data-width="{plain(inner_width)}"/>'
    )
    return "".join([*parts, "</svg>"])


def fit_at(curve: Curve, places: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Return the fitted volume in ml at ``places``, parts (0 to 1) of the cycle."""
    volume = np.full(places.shape, curve.mean_ml)
    for order, (cosine, sine) in enumerate(zip(curve.cosine_ml, curve.sine_ml, strict=True), start=1):
        volume += cosine * np.cos(2 * np.pi * order * places) + sine * np.sin(2 * np.pi * order * places)
    return [float(value) for value in volume]

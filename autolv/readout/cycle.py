"""The volume curve of a whole cycle, and which frames are end-diastole and end-systole, by which rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autolv.readout.counting import Counted
from autolv.readout.curve import FEWEST_FRAMES, Extremes, PeriodicFit, extremes, fit_cycle, nearest_frame
from autolv.readout.volumes import end_diastole_and_systole
from autolv.schema.readout import BasalRule, Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """The curve of a whole cycle with its fit, or ``None`` and the ``reason``."""

    curve: Curve | None = None
    fit: PeriodicFit | None = None
    ends: Extremes | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """The frames (from 1) of end-diastole and end-systole, in words how they were found, and which are the fit's extremes.

    ``ed_part`` and ``es_part`` are where they lie in a whole cycle (0 to 1), NaN elsewhere.
    """

    ed: int | None
    es: int | None
    rule: str
    ed_by_fit: bool = False
    es_by_fit: bool = False
    ed_part: float = math.nan
    es_part: float = math.nan


def cycle_of(
    counted: Mapping[int, Counted], *, whole_cycle: bool, rule: BasalRule, frame_time_ms: float | None
) -> Cycle:
    """Return the curve of ``counted``, frames 1 to n of one whole cycle; without one, the reason."""
    if not whole_cycle:
        return Cycle(reason="only single frames were read, not the whole cycle")
    frames = [counted[number] for number in sorted(counted)]
    volumes = [frame.cavity_ml() for frame in frames]
    seen = int(np.isfinite(volumes).sum())
    if seen < FEWEST_FRAMES:
        why = f"a fit needs {FEWEST_FRAMES} frames with a volume, there are {seen}"
        return Cycle(reason=next((frame.reason for frame in frames if frame.reason), "") if not seen else why)
    fit = fit_cycle(volumes)
    walls, rvs = [frame.wall_ml() for frame in frames], [frame.rv_ml() for frame in frames]
    curve = Curve(
        basal_rule=rule, volume_ml=tuple(volumes), wall_ml=_where_known(walls), rv_ml=_where_known(rvs),
        fitted_ml=tuple(float(v) for v in fit.at(np.arange(len(frames)) / len(frames))), mean_ml=fit.mean,
        cosine_ml=tuple(float(v) for v in fit.cosine), sine_ml=tuple(float(v) for v in fit.sine),
        frame_time_ms=frame_time_ms,
    )  # fmt: skip
    return Cycle(curve=curve, fit=fit, ends=extremes(fit))


def phases_of(counted: Mapping[int, Counted], cycle: Cycle, ed_frame: int | None, es_frame: int | None) -> Phases:
    """Return end-diastole and end-systole: as given, else by the fit's extremes, else the largest and smallest cavity."""
    frames = sorted(counted)
    if cycle.ends is not None:
        ends = cycle.ends
        ed = ed_frame or nearest_frame(ends.ed_part, len(frames)) + 1
        es = es_frame or nearest_frame(ends.es_part, len(frames)) + 1
        return Phases(
            ed=ed, es=es, ed_by_fit=ed_frame is None, es_by_fit=es_frame is None,
            ed_part=ends.ed_part if ed_frame is None else (ed - 1) / len(frames),
            es_part=ends.es_part if es_frame is None else (es - 1) / len(frames),
            rule=_words(ed_frame, es_frame, "largest volume of the periodic fit", "smallest volume of the periodic fit"),
        )  # fmt: skip
    if ed_frame is not None and es_frame is not None:
        return Phases(ed=ed_frame, es=es_frame, rule=_words(ed_frame, es_frame, "", ""))
    volumes = [counted[number].cavity_ml() for number in frames]
    if len(frames) < 2:
        known = "which phase this frame shows is not known" if (ed_frame or es_frame) is None else "as given"
        return Phases(ed=ed_frame, es=es_frame, rule=f"one frame alone: {known}")
    if not np.isfinite(volumes).any():
        return Phases(ed=ed_frame, es=es_frame, rule="no frame has a volume")
    largest, smallest = (frames[index] for index in end_diastole_and_systole(volumes))
    rule = _words(
        ed_frame, es_frame, f"largest cavity of {len(frames)} frames", f"smallest cavity of {len(frames)} frames"
    )
    return Phases(ed=ed_frame or largest, es=es_frame or smallest, rule=rule)


def _words(ed_frame: int | None, es_frame: int | None, largest: str, smallest: str) -> str:
    if ed_frame is not None and es_frame is not None:
        return "end-diastole and end-systole as given"
    ed = "as given" if ed_frame is not None else largest
    es = "as given" if es_frame is not None else smallest
    return f"end-diastole: {ed}; end-systole: {es}"


def _where_known(volumes: list[float]) -> tuple[float, ...]:
    """Return the volumes, none where one is not known."""
    return tuple(volumes) if np.isfinite(volumes).all() else ()

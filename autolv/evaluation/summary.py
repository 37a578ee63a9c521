"""Many cases in one record: means per structure, phase, group and level, agreement, and what was undefined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from autolv.core.labels import STRUCTURES
from autolv.evaluation.agreement import agreement_by_group, agreement_by_patient
from autolv.evaluation.bootstrap import mean_interval
from autolv.evaluation.levels import LEVELS
from autolv.evaluation.means import mean
from autolv.evaluation.overlap import Empty
from autolv.evaluation.surface import SURFACE_DICE_TOLERANCES_MM
from autolv.schema.results import CaseMetrics, Evaluation, StructureMetrics

MEAN = "mean"  # the key, beside the structures, of what is averaged over structures
UNDEFINED: dict[Empty, str] = {
    "both": "empty in prediction and reference",
    "prediction": "empty in prediction only",
    "reference": "empty in reference only",
}
NOT_ANNOTATED = "not annotated in the reference"
Metric = Callable[[StructureMetrics], float]
LevelMetric = Callable[[StructureMetrics], Mapping[str, float]]


def _surface_dice_at(tolerance_mm: float) -> Metric:
    return lambda m: m.surface_dice.get(f"{tolerance_mm:g}", math.nan)


def _level_surface_dice_at(tolerance_mm: float) -> LevelMetric:
    return lambda m: m.level_surface_dice.get(f"{tolerance_mm:g}", {})


METRICS: dict[str, Metric] = {
    "dice": lambda m: m.dice,
    "iou": lambda m: m.iou,
    "hausdorff_mm": lambda m: m.hausdorff_mm,
    "hd95_mm": lambda m: m.hd95_mm,
    "assd_mm": lambda m: m.assd_mm,
    **{f"surface_dice_{t:g}mm": _surface_dice_at(t) for t in SURFACE_DICE_TOLERANCES_MM},
    "volume_ml": lambda m: m.volume_ml,
    "reference_volume_ml": lambda m: m.reference_volume_ml,
    "volume_error_ml": lambda m: m.volume_ml - m.reference_volume_ml,
    "slices_missed": lambda m: float(m.slices_missed),
    "slices_invented": lambda m: float(m.slices_invented),
}
LEVEL_METRICS: dict[str, LevelMetric] = {  # each gives a value per level
    "dice": lambda m: m.level_dice,
    "iou": lambda m: m.level_iou,
    "hausdorff_2d_mm": lambda m: m.level_hausdorff_mm,
    "hd95_2d_mm": lambda m: m.level_hd95_mm,
    "assd_2d_mm": lambda m: m.level_assd_mm,
    **{f"surface_dice_2d_{t:g}mm": _level_surface_dice_at(t) for t in SURFACE_DICE_TOLERANCES_MM},
}


def summarise(cases: tuple[CaseMetrics, ...]) -> Evaluation:
    """Return the evaluation of ``cases``; of no case at all, every mean is NaN and every table empty.

    A mean is over the cases in which the metric is defined (the rules are in ``evaluation.overlap``); ``mean_dice``
    is the mean over structures of these means. ``undefined`` counts the pairs of structure and case by reason.
    Intervals are 95 %, by resampling patients.
    """
    structures = structures_of(cases)
    summary = mean_metrics(cases)
    return Evaluation(
        cases=cases,
        mean_dice=mean([summary[name]["dice"] for name in structures]),
        summary=summary,
        by_phase={phase: mean_metrics(c for c in cases if c.phase == phase) for phase in _phases(cases)},
        by_group={group: mean_metrics(c for c in cases if c.group == group) for group in _groups(cases)},
        by_level=_by_level(cases, LEVEL_METRICS["dice"]),
        by_level_iou=_by_level(cases, LEVEL_METRICS["iou"]),
        by_level_hausdorff_mm=_by_level(cases, LEVEL_METRICS["hausdorff_2d_mm"]),
        by_level_hd95_mm=_by_level(cases, LEVEL_METRICS["hd95_2d_mm"]),
        by_level_assd_mm=_by_level(cases, LEVEL_METRICS["assd_2d_mm"]),
        by_level_surface_dice={
            f"{t:g}": _by_level(cases, _level_surface_dice_at(t)) for t in SURFACE_DICE_TOLERANCES_MM
        },
        agreement=agreement_by_patient(cases),
        agreement_by_group=agreement_by_group(cases),
        undefined=count_undefined(cases),
        dice_interval=_dice_intervals(cases, structures),
    )


def structures_of(cases: Sequence[CaseMetrics]) -> tuple[str, ...]:
    """Return the structures that any of ``cases`` has, annotated or not, in their one order."""
    present = {name for case in cases for name in (*case.structures, *case.not_annotated)}
    return tuple(name for name in STRUCTURES if name in present)


def mean_metrics(cases: Iterable[CaseMetrics]) -> dict[str, dict[str, float]]:
    """Return the mean of each of ``METRICS`` per structure; NaN values are left out."""
    chosen = tuple(cases)
    return {
        name: {metric: mean([value(m) for m in _of(chosen, name)]) for metric, value in METRICS.items()}
        for name in structures_of(chosen)
    }


def count_undefined(cases: Sequence[CaseMetrics]) -> dict[str, int]:
    """Return, for each reason, in how many pairs of structure and case it made a metric undefined."""
    reasons = [m.empty for case in cases for m in case.structures.values()]
    counts = {text: reasons.count(empty) for empty, text in UNDEFINED.items()}
    return {**counts, NOT_ANNOTATED: sum(len(case.not_annotated) for case in cases)}


def dice_table(cases: Sequence[CaseMetrics], structures: Sequence[str]) -> list[list[float]]:
    """Return Dice as rows of cases and columns of structures; NaN where a case lacks the structure."""
    return [
        [case.structures[name].dice if name in case.structures else math.nan for name in structures] for case in cases
    ]


def _dice_intervals(cases: Sequence[CaseMetrics], structures: Sequence[str]) -> dict[str, tuple[float, float]]:
    if not cases:
        return {}
    patients = [case.patient for case in cases]
    table = dice_table(cases, structures)
    intervals = {name: mean_interval([row[i] for row in table], patients) for i, name in enumerate(structures)}
    return {MEAN: mean_interval(table, patients), **intervals}


def _by_level(cases: Sequence[CaseMetrics], value: LevelMetric) -> dict[str, dict[str, float]]:
    return {
        name: {level: mean([value(m).get(level, math.nan) for m in _of(cases, name)]) for level in LEVELS}
        for name in structures_of(cases)
    }


def _of(cases: Sequence[CaseMetrics], structure: str) -> list[StructureMetrics]:
    return [case.structures[structure] for case in cases if structure in case.structures]


def _phases(cases: Sequence[CaseMetrics]) -> tuple[str, ...]:
    present = {case.phase for case in cases}
    return tuple(phase for phase in ("ED", "ES") if phase in present)


def _groups(cases: Sequence[CaseMetrics]) -> tuple[str, ...]:
    return tuple(sorted({case.group for case in cases if case.group is not None}))

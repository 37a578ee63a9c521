"""Tables of an evaluation as plain text (ASCII, under 110 columns) and as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from autolv.evaluation.acdc import AcdcRow, acdc_rows
from autolv.evaluation.levels import LEVELS
from autolv.evaluation.patients import QUANTITIES, patient_values
from autolv.evaluation.summary import MEAN, METRICS
from autolv.reporting._text import grid, interval, label_of, number, short_of
from autolv.schema.results import BestConfig, Candidate, CaseMetrics, Evaluation, Step, StructureMetrics

Means = Mapping[str, Mapping[str, float]]
_HEAD = ("IoU", "HD", "HD95", "ASSD", "sDice1", "sDice2", "sDice3", "volume", "error")
_NAME_WIDTH = 22
_WIDTH = 108


def evaluation_table(evaluation: Evaluation) -> str:
    """Return everything that an evaluation holds but the single cases, section by section; "-" is undefined."""
    sections = [
        _title(evaluation),
        _section("Means over cases (HD, HD95, ASSD in mm; volume and its error in ml)", _overall(evaluation)),
        _section("By phase", _strata("phase", evaluation.by_phase, evaluation.cases)),
        _section("By slice level (thirds of the reference's LV)", _levels(evaluation)),
        _section("Agreement with the reference over patients (prediction - reference)", _agreement(evaluation)),
        _section("By group", _strata("group", evaluation.by_group, evaluation.cases)),
        _notes(evaluation),
    ]
    return "\n\n".join(text for text in sections if text)


def acdc_table(evaluation: Evaluation) -> str:
    """Return the ACDC challenge's own rows: Dice and Hausdorff at ED and ES, and clinical quantities per structure."""
    rows = acdc_rows(evaluation.cases)
    overlap = [
        (
            short_of(row.structure),
            number(row.dice_ed, 3),
            number(row.dice_es, 3),
            number(row.hausdorff_ed_mm, 2),
            number(row.hausdorff_es_mm, 2),
        )
        for row in rows
    ]
    text = [
        "ACDC challenge: means over patients",
        "",
        *grid(("", "Dice ED", "Dice ES", "HD ED mm", "HD ES mm"), overlap),
        "",
        *_acdc_clinical(rows),
        "",
        "Challenge rules: a structure that both maps lack has Dice 1 and HD 0. HD: 3D, the larger of both directions.",
    ]
    lost = sum(row.no_distance for row in rows)
    if lost:
        text.append(f"Present in one map only, {lost} of the structures' frames: Dice 0, HD undefined and left out.")
    without = sum(case.phase is None for case in evaluation.cases)
    if without:
        text.append(f"Without phase, {without} frames: of a patient's two, that with the larger LV is taken for ED.")
    return "\n".join(text)


def candidates_table(best: BestConfig) -> str:
    """Return the candidates, best first, which was chosen (``*``) and why; ``~``: cannot be told from the best."""
    rows: list[tuple[str, ...]] = []
    ranked = sorted(best.candidates, key=lambda c: -c.mean_dice)
    for candidate in ranked:
        first, *more = _wrapped(candidate.name)
        mark = "*" if candidate.name == best.chosen else " " if candidate.separable else "~"
        rows.append((f"{mark} {first}", *_candidate_cells(candidate, best.structures)))
        rows.extend((f"  {line}", *[""] * (len(rows[0]) - 1)) for line in more)
    head = ("  candidate", "folds", "Dice", "95 % interval", *(short_of(name) for name in best.structures))
    patients, cases = max(((c.patients, c.cases) for c in ranked), default=(0, 0))
    lines = [
        *textwrap.wrap(f"Folds trained: {best.folds_available}.", _WIDTH),
        f"Candidates on the {cases} cases of {patients} patients that all have in common:",
        *grid((*head, "EF", "to best", "95 % interval"), rows),
        "",
        "*: chosen; ~: cannot be told from the best (paired bootstrap of patients); EF: mean absolute error in points.",
        *textwrap.wrap(f"Chosen: {best.chosen}. {best.reason}", _WIDTH),
        f"Mean Dice {number(best.score, 4)}, with post-processing {number(best.score_with_postprocessing, 4)}.",
        f"Of the choice itself, made on other folds than it is scored on: {number(best.cross_fitted_score, 4)}.",
        f"Post-processing: {'; '.join(_step(step) for step in best.postprocessing) or 'none'}.",
    ]
    return "\n".join(lines)


def cases_csv(evaluation: Evaluation) -> str:
    """Return CSV text: one row per case and structure; undefined cells are empty, ``empty`` says which map lacks it."""
    head = [
        *("case", "patient", "phase", "group", "structure", *METRICS),
        *(f"dice_{level}" for level in LEVELS),
        *(f"hausdorff_2d_mm_{level}" for level in LEVELS),
        "empty",
    ]
    return _csv(head, (_case_row(c, n, m) for c in evaluation.cases for n, m in c.structures.items()))


def patients_csv(evaluation: Evaluation) -> str:
    """Return CSV text: one row per patient, each clinical quantity as predicted and by the reference."""
    patients = patient_values(evaluation.cases)
    present = [name for name in QUANTITIES if any(name in patient.values for patient in patients)]
    head = ["patient", "group", *(f"{side} {name}" for name in present for side in ("predicted", "reference"))]
    rows = (
        [
            patient.patient,
            patient.group or "",
            *(_cell(v) for name in present for v in (patient.values[name].predicted, patient.values[name].reference)),
        ]
        for patient in patients
    )
    return _csv(head, rows)


def _title(evaluation: Evaluation) -> str:
    patients = len({case.patient for case in evaluation.cases})
    title = f"{len(evaluation.cases)} cases of {patients} patients: mean Dice {number(evaluation.mean_dice, 4)}"
    bounds = evaluation.dice_interval.get(MEAN, (math.nan, math.nan))
    return title if math.isnan(bounds[0]) else f"{title} (95 % interval by patient {interval(bounds, 4)})"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join((title, *lines)) if lines else ""


def _overall(evaluation: Evaluation) -> list[str]:
    rows = []
    for name, means in evaluation.summary.items():
        bounds = evaluation.dice_interval.get(name, (math.nan, math.nan))
        rows.append((label_of(name), number(means["dice"], 3), interval(bounds, 3), *_metric_cells(means)))
    return grid(("", "Dice", "95 % interval", *_HEAD), rows) if rows else []


def _strata(kind: str, strata: Mapping[str, Means], cases: Sequence[CaseMetrics]) -> list[str]:
    rows = []
    for stratum, means in strata.items():
        label, count = stratum, str(_count(kind, stratum, cases))
        for name, values in means.items():
            rows.append((label, count, label_of(name), number(values["dice"], 3), *_metric_cells(values)))
            label, count = "", ""  # once per stratum
    return grid((kind, "cases", "", "Dice", *_HEAD), rows, left=3) if rows else []


def _count(kind: str, stratum: str, cases: Sequence[CaseMetrics]) -> int:
    return sum((case.phase if kind == "phase" else case.group) == stratum for case in cases)


def _metric_cells(means: Mapping[str, float]) -> tuple[str, ...]:
    return (
        number(means["iou"], 3),
        *(number(means[key], 2) for key in ("hausdorff_mm", "hd95_mm", "assd_mm")),
        *(number(means[f"surface_dice_{t}mm"], 3) for t in (1, 2, 3)),
        number(means["volume_ml"], 1),
        number(means["volume_error_ml"], 1, signed=True),
    )


def _levels(evaluation: Evaluation) -> list[str]:
    rows = []
    for name, dice in evaluation.by_level.items():
        distances = evaluation.by_level_hausdorff_mm.get(name, {})
        of = [case.structures[name] for case in evaluation.cases if name in case.structures]
        rows.append(
            (
                label_of(name),
                *(number(dice[level], 3) for level in LEVELS),
                *(number(distances.get(level, math.nan), 2) for level in LEVELS),
                str(sum(m.slices_missed for m in of)),
                str(sum(m.slices_invented for m in of)),
            )
        )
    head = ("", *(f"Dice {level}" for level in LEVELS), *(f"2D HD {level} mm" for level in LEVELS))
    return grid((*head, "missed", "invented"), rows) if rows else []


def _agreement(evaluation: Evaluation) -> list[str]:
    rows = [
        (
            name,
            str(a.n),
            number(a.r, 3),
            number(a.bias, 2, signed=True),
            number(a.sd, 2),
            interval((a.lower_limit, a.upper_limit), 1, signed=True),
            number(a.mae, 2),
        )
        for name, a in evaluation.agreement.items()
        if a.n
    ]
    return grid(("", "patients", "r", "bias", "SD", "limits of agreement", "MAE"), rows) if rows else []


def _notes(evaluation: Evaluation) -> str:
    lines = [
        "95 % interval: bootstrap of patients. HD: Hausdorff distance, 3D; HD95: the larger of the two directed 95th",
        "percentiles; ASSD: mean over both surfaces; sDice1: surface Dice at 1 mm; 2D HD: between contours of a slice.",
        "missed: slices that only the reference has; invented: those that only the prediction has (sums over cases).",
    ]
    counts = [f"{count} {reason}" for reason, count in evaluation.undefined.items() if count]
    if counts:
        lines.append(f"Structures without voxels: {'; '.join(counts)}.")
        lines.append("Empty in both: left out. Empty in one: Dice 0, distances undefined and left out.")
    return "\n".join(lines)


def _acdc_clinical(rows: Sequence[AcdcRow]) -> list[str]:
    cells = [
        (
            short_of(row.structure),
            name.removeprefix("RV "),
            str(a.n),
            number(a.r, 3),
            number(a.bias, 2),
            number(a.sd, 2),
        )
        for row in rows
        for name, a in row.agreement.items()
    ]
    return grid(("", "quantity", "patients", "r", "bias", "SD"), cells, left=2)


def _candidate_cells(candidate: Candidate, structures: Sequence[str]) -> tuple[str, ...]:
    return (
        _folds(candidate.folds),
        number(candidate.mean_dice, 4),
        interval(candidate.interval, 3).replace(" to ", "-"),
        *(number(candidate.dice.get(name, math.nan), 3) for name in structures),
        number(candidate.ef_mae_percent, 1),
        number(candidate.difference_to_best, 4, signed=True),
        interval(candidate.difference_interval, 3, signed=True),
    )


def _folds(folds: Sequence[int]) -> str:
    """Return ``"0-4"`` for folds in a row, else ``"0,2"``."""
    in_a_row = len(folds) > 2 and list(folds) == list(range(folds[0], folds[0] + len(folds)))
    return f"{folds[0]}-{folds[-1]}" if in_a_row else ",".join(str(fold) for fold in folds)


def _wrapped(name: str) -> list[str]:
    """Return an ensemble's name as lines of at most ``_NAME_WIDTH`` characters, broken after a ``+``."""
    lines = [""]
    for part in re.findall(r"[^+]+\+?", name):
        if lines[-1] and len(lines[-1]) + len(part) > _NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return [line.strip() for line in lines]


def _step(step: Step) -> str:
    return (
        f"{step.name.replace('_', ' ')} of {label_of(step.structure)}"
        if step.structure
        else step.name.replace("_", " ")
    )


def _case_row(case: CaseMetrics, name: str, metrics: StructureMetrics) -> list[str]:
    return [
        case.case,
        case.patient,
        case.phase or "",
        case.group or "",
        name,
        *(_cell(value(metrics)) for value in METRICS.values()),
        *(_cell(metrics.level_dice.get(level, math.nan)) for level in LEVELS),
        *(_cell(metrics.level_hausdorff_mm.get(level, math.nan)) for level in LEVELS),
        metrics.empty,
    ]


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{round(value, 6):.10g}"


def _csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()

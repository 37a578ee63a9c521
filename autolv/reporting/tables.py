"""Tables of an evaluation and of candidates as plain text (ASCII, under 110 columns)."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence

from autolv.evaluation.acdc import AcdcRow, acdc_rows
from autolv.evaluation.levels import LEVELS
from autolv.evaluation.summary import MEAN, NOT_ANNOTATED
from autolv.evaluation.surface import SURFACE_DICE_TOLERANCES_MM
from autolv.reporting._text import grid, interval, label_of, number, short_of
from autolv.reporting.quality_table import quality_lines
from autolv.schema.results import Agreement, BestConfig, Candidate, CaseMetrics, Evaluation, Step

Means = Mapping[str, Mapping[str, float]]
_HEAD = ("IoU", "HD", "HD95", "ASSD", "sDice1", "sDice2", "sDice3", "volume", "error")
_LEVEL_SURFACE_HEAD = tuple(f"2D sDice{t:g}" for t in SURFACE_DICE_TOLERANCES_MM)
_AGREEMENT_HEAD = ("patients", "r", "bias", "SD", "limits of agreement", "MAE")
_NAME_WIDTH = 22
_WIDTH = 108


def evaluation_table(evaluation: Evaluation) -> str:
    """Return everything that an evaluation holds but the single cases, section by section; "-" is undefined."""
    sections = [
        _title(evaluation),
        _section("Means over cases (HD, HD95, ASSD in mm; volume and its error in ml)", _overall(evaluation)),
        _section("By phase", _strata("phase", evaluation.by_phase, evaluation.cases)),
        _section("By slice level (thirds of the reference's LV; distances within a slice, mm)", _levels(evaluation)),
        _section(
            "Agreement with the reference over patients (prediction - reference)", _agreement(evaluation.agreement)
        ),
        _section("By group", _strata("group", evaluation.by_group, evaluation.cases)),
        _section("Agreement by group (prediction - reference)", _group_agreement(evaluation.agreement_by_group)),
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
        *_scores(best, cases, patients),
        f"Post-processing: {'; '.join(step_text(step) for step in best.postprocessing) or 'none'}.",
        *quality_lines(best),
    ]
    return "\n".join(lines)


def _scores(best: BestConfig, shared_cases: int, shared_patients: int) -> list[str]:
    """Return the choice's scores in words, each with the cases that it is of."""
    plain = next((c.mean_dice for c in best.candidates if c.name == best.chosen), math.nan)
    return [
        f"On its own {best.cases} cases of {best.patients} patients: mean Dice {number(best.score, 4)}, "
        f"with post-processing {number(best.score_with_postprocessing, 4)},",
        "  with the steps chosen on other patients than they are scored on "
        f"{number(best.score_with_cross_fitted_postprocessing, 4)}.",
        f"On the {shared_cases} shared cases of {shared_patients} patients: {number(plain, 4)}; configuration and steps "
        f"chosen on others {number(best.cross_fitted_score, 4)}.",
    ]


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
        label = label_of(name)
        for level in LEVELS:
            rows.append((label, level, number(dice[level], 3), *_level_cells(evaluation, name, level)))
            label = ""  # once per structure
    if not rows:
        return []
    return [
        *grid(("", "level", "Dice", "IoU", "2D HD", "2D HD95", "2D ASSD", *_LEVEL_SURFACE_HEAD), rows, left=2),
        f"Slices missed / invented: {'; '.join(_slices(name, evaluation.cases) for name in evaluation.by_level)}.",
    ]


def _level_cells(evaluation: Evaluation, structure: str, level: str) -> tuple[str, ...]:
    """Return what stands beside Dice; an evaluation of an earlier day lacks some of it."""

    def of(means: Means) -> float:
        return means.get(structure, {}).get(level, math.nan)

    distances = (evaluation.by_level_hausdorff_mm, evaluation.by_level_hd95_mm, evaluation.by_level_assd_mm)
    shares = (evaluation.by_level_surface_dice.get(f"{t:g}", {}) for t in SURFACE_DICE_TOLERANCES_MM)
    return (
        number(of(evaluation.by_level_iou), 3),
        *(number(of(means), 2) for means in distances),
        *(number(of(means), 3) for means in shares),
    )


def _slices(structure: str, cases: Sequence[CaseMetrics]) -> str:
    of = [case.structures[structure] for case in cases if structure in case.structures]
    return f"{label_of(structure)} {sum(m.slices_missed for m in of)} / {sum(m.slices_invented for m in of)}"


def _agreement(agreement: Mapping[str, Agreement]) -> list[str]:
    rows = [_agreement_cells(name, value) for name, value in agreement.items() if value.n]
    return grid(("", *_AGREEMENT_HEAD), rows) if rows else []


def _group_agreement(groups: Mapping[str, Mapping[str, Agreement]]) -> list[str]:
    rows = []
    for group, agreement in groups.items():
        label = group
        for name, value in agreement.items():
            if value.n > 1:  # one patient agrees with nothing
                rows.append((label, *_agreement_cells(name, value)))
                label = ""  # once per group
    return grid(("group", "", *_AGREEMENT_HEAD), rows, left=2) if rows else []


def _agreement_cells(name: str, value: Agreement) -> tuple[str, ...]:
    return (
        name,
        str(value.n),
        number(value.r, 3),
        number(value.bias, 2, signed=True),
        number(value.sd, 2),
        interval((value.lower_limit, value.upper_limit), 1, signed=True),
        number(value.mae, 2),
    )


def _notes(evaluation: Evaluation) -> str:
    lines = [
        "95 % interval: bootstrap of patients. HD: Hausdorff distance, 3D; HD95: the larger of the two directed 95th",
        "percentiles; ASSD: mean over both surfaces; sDice1: surface Dice at 1 mm; 2D: between contours of a slice,",
        "mean over the level's slices that both have. Missed: slices that only the reference has; invented: those",
        "that only the prediction has (sums over cases).",
    ]
    counts = [
        f"{count} {reason}" for reason, count in evaluation.undefined.items() if count and reason != NOT_ANNOTATED
    ]
    if counts:
        lines.append(f"Structures without voxels: {'; '.join(counts)}.")
        lines.append("Empty in both: left out. Empty in one: Dice 0, distances undefined and left out.")
    hidden = evaluation.undefined.get(NOT_ANNOTATED, 0)
    if hidden:
        lines.append(f"Not annotated in the reference, {hidden} of the structures' cases: left out of everything.")
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
        folds_text(candidate.folds),
        number(candidate.mean_dice, 4),
        interval(candidate.interval, 3).replace(" to ", "-"),
        *(number(candidate.dice.get(name, math.nan), 3) for name in structures),
        number(candidate.ef_mae_percent, 1),
        number(candidate.difference_to_best, 4, signed=True),
        interval(candidate.difference_interval, 3, signed=True),
    )


def folds_text(folds: Sequence[int]) -> str:
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


def step_text(step: Step) -> str:
    """Return a post-processing step in words."""
    return (
        f"{step.name.replace('_', ' ')} of {label_of(step.structure)}"
        if step.structure
        else step.name.replace("_", " ")
    )

"""The page of a cross-validation: dataset, plan, learning curves, candidates, results by part, worst cases, agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.evaluation.levels import LEVELS
from autolv.evaluation.patients import EDV, EF, ESV, MASS
from autolv.evaluation.summary import MEAN
from autolv.planning.explain import entries_of
from autolv.reporting._html import asset, escaped, standalone_page, table
from autolv.reporting._text import interval, label_of, number, short_of
from autolv.reporting.agreement_drawing import patient_comparisons
from autolv.reporting.bland_altman import LINES, bland_altman_svg
from autolv.reporting.history_drawing import histories_svg
from autolv.reporting.tables import folds_text, step_text
from autolv.reporting.worst_cases import WorstCase, worst_case_figure
from autolv.schema.fingerprint import Fingerprint, Spread
from autolv.schema.plan import Configuration
from autolv.schema.results import BestConfig, Evaluation

History = Sequence[Mapping[str, float]]
_KEYS = {LV_CAVITY: "key-lv", LV_MYOCARDIUM: "key-wall", RV_CAVITY: "key-rv"}
_BLOCKS = ("preprocessing", "network", "training")
_METRICS = (("dice", 3), ("hd95_mm", 1), ("assd_mm", 2), ("volume_error_ml", 1))
_METRIC_HEAD = ("Dice", "HD95 [mm]", "ASSD [mm]", "volume error [ml]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """All that the page shows. ``histories``: configuration -> fold -> rows of ``history.csv``, of all that were compared.

    ``evaluation`` is that of the chosen candidate with its post-processing, on patients that no member has seen.
    """

    best: BestConfig
    evaluation: Evaluation
    fingerprint: Fingerprint | None
    histories: Mapping[str, Mapping[int, History]]
    worst: Sequence[WorstCase]


def choice_page(choice: Choice, version: str) -> str:
    """Return the page, which holds everything in itself and asks for nothing; ``version`` is autolv's."""
    best = choice.best
    body = [
        f"<h1>{escaped(best.dataset)}: cross-validation</h1>", _headline(choice),
        f"<p>Chosen: <b>{escaped(best.chosen)}</b>. {escaped(best.reason)}</p>",
        _dataset(choice.fingerprint), _plan(best.configurations), _curves(choice.histories), _candidates(best),
        _results(choice.evaluation), _worst(choice.worst, best.structures), _agreement(choice.evaluation),
        f"<footer>autolv {escaped(version)}. For research use only: this is not a medical device. "
        f"{escaped(best.licence_note)}</footer>",
    ]  # fmt: skip
    return standalone_page(f"{best.dataset}: cross-validation", "\n".join(body), style=asset("report.css"))


def _headline(choice: Choice) -> str:
    best, evaluation = choice.best, choice.evaluation
    ef = evaluation.agreement.get(EF)
    cards = [
        ("mean Dice", number(evaluation.mean_dice, 3)),
        ("95 % interval", interval(evaluation.dice_interval.get(MEAN, (math.nan, math.nan)), 3).replace(" to ", "\u2013")),
        ("patients", str(best.patients)), ("cases", str(best.cases)),
        ("EF: mean error [points]", number(math.nan if ef is None else ef.mae, 1)),
    ]  # fmt: skip
    shown = "".join(f"<div><span>{escaped(name)}</span><b>{escaped(value)}</b></div>" for name, value in cards)
    return f'<div class="headline">{shown}</div>'


def _wide(text: str) -> str:
    return f'<div class="wide">{text}</div>'


def _dataset(fingerprint: Fingerprint | None) -> str:
    if fingerprint is None:
        return '<h2>Dataset</h2><p class="note">Its fingerprint is not there any more.</p>'
    counts = [
        ("patients", str(fingerprint.patients)), ("cases", str(len(fingerprint.cases))),
        *((f"group {name}", f"{count} patients") for name, count in fingerprint.groups.items()),
        *((f"phase {name}", f"{count} cases") for name, count in fingerprint.phases.items()),
    ]  # fmt: skip
    items = "".join(f"<li>{escaped(name)} <b>{escaped(value)}</b></li>" for name, value in counts)
    axes = ("z", "y", "x")
    rows = [_spread(f"spacing {axis} [mm]", one, 2) for axis, one in zip(axes, fingerprint.spacing_mm, strict=True)]
    rows += [_spread(f"size {axis} [voxels]", one, 0) for axis, one in zip(axes, fingerprint.shape, strict=True)]
    rows += [_spread(f"heart {axis} [mm]", one, 0) for axis, one in zip(axes, fingerprint.heart_extent_mm, strict=True)]
    rows += [_spread("slices with labels", fingerprint.heart_slices, 0)]
    rows += [_spread(f"{label_of(name)} [ml]", one, 0) for name, one in fingerprint.volume_ml.items()]
    head = ("", "least", "10 %", "median", "90 %", "most")
    return f'<h2>Dataset</h2><ul class="facts">{items}</ul>{_wide(table(rows, head, left=1))}'


def _spread(name: str, spread: Spread, digits: int) -> list[str]:
    values = (spread.minimum, spread.p10, spread.median, spread.p90, spread.maximum)
    return [name, *(number(value, digits) for value in values)]


def _plan(configurations: Mapping[str, Configuration]) -> str:
    parts = ["<h2>Plan of what was chosen, with reasons</h2>"]
    for name, configuration in configurations.items():
        for block in _BLOCKS:
            rows = [list(entry) for entry in entries_of(configuration, block)]
            shown = _wide(table(rows, ("", "value", "reason"), name="plan"))
            parts.append(f"<details><summary>{escaped(name)}: {block}</summary>{shown}</details>")
    return "".join(parts)


def _curves(histories: Mapping[str, Mapping[int, History]]) -> str:
    drawings = []
    for name, folds in histories.items():
        loss = {f"fold {fold}": [(row["epoch"], row["loss"]) for row in rows] for fold, rows in folds.items()}
        dice = {f"fold {fold}": [(row["epoch"], _mean_dice(row)) for row in rows] for fold, rows in folds.items()}
        drawings += [
            histories_svg(f"{name}: training loss", loss),
            histories_svg(f"{name}: mean Dice on patches", dice),
        ]
    shown = "".join(drawing for drawing in drawings if drawing)
    return f'<h2>Learning curves</h2><div class="curves">{shown or "<p>No history was kept.</p>"}</div>'


def _mean_dice(row: Mapping[str, float]) -> float:
    values = [value for key, value in row.items() if key.startswith("dice_") and not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def _candidates(best: BestConfig) -> str:
    rows = []
    for one in sorted(best.candidates, key=lambda candidate: -candidate.mean_dice):
        mark = "chosen" if one.name == best.chosen else "" if one.separable else "not told from the best"
        rows.append([
            one.name, mark, folds_text(one.folds), number(one.mean_dice, 4), interval(one.interval, 3),
            *(number(one.dice.get(name, math.nan), 3) for name in best.structures), number(one.ef_mae_percent, 1),
            number(one.difference_to_best, 4, signed=True), interval(one.difference_interval, 4, signed=True),
        ])  # fmt: skip
    head = ("candidate", "", "folds", "Dice", "95 % interval", *(short_of(name) for name in best.structures),
            "EF error", "to best", "95 % interval")  # fmt: skip
    steps = "; ".join(step_text(step) for step in best.postprocessing) or "none"
    return (
        f"<h2>Candidates</h2>{_wide(table(rows, head, left=2))}"
        '<p class="note">On the cases that all share, without post-processing; intervals by resampling patients, that of the '
        "difference paired. EF error: mean absolute error in points.</p>"
        f"<p>Post-processing: {escaped(steps)}. Mean Dice on all cases of the choice {number(best.score, 4)}, with it "
        f"{number(best.score_with_postprocessing, 4)}, with steps chosen on other patients "
        f"{number(best.score_with_cross_fitted_postprocessing, 4)}; configuration and steps chosen on other patients, on the "
        f"shared cases, {number(best.cross_fitted_score, 4)}.</p>"
    )


def _results(evaluation: Evaluation) -> str:
    strata = [("all", "", evaluation.summary, len(evaluation.cases))]
    strata += [("phase", name, means, sum(c.phase == name for c in evaluation.cases)) for name, means in
               evaluation.by_phase.items()]  # fmt: skip
    strata += [("group", name, means, sum(c.group == name for c in evaluation.cases)) for name, means in
               evaluation.by_group.items()]  # fmt: skip
    rows = []
    for kind, name, means, count in strata:
        label = f"{kind} {name}".strip()
        for structure, values in means.items():
            cells = [number(values.get(metric, math.nan), digits, signed=metric == "volume_error_ml")
                     for metric, digits in _METRICS]  # fmt: skip
            rows.append([label, label_of(structure), str(count), *cells])
            label = ""  # once per stratum
    levels = [
        [label_of(name), *(number(dice.get(level, math.nan), 3) for level in LEVELS),
         *(number(evaluation.by_level_hd95_mm.get(name, {}).get(level, math.nan), 1) for level in LEVELS)]
        for name, dice in evaluation.by_level.items()
    ]  # fmt: skip
    head = ("", *(f"Dice {level}" for level in LEVELS), *(f"2D HD95 {level} [mm]" for level in LEVELS))
    return (
        "<h2>Results of the choice, on patients not seen in training</h2>"
        f"{_wide(table(rows, ('', '', 'cases', *_METRIC_HEAD), left=2))}"
        f"<h3>By level</h3>{_wide(table(levels, head, left=1))}"
    )


def _worst(worst: Sequence[WorstCase], structures: Sequence[str]) -> str:
    if not worst:
        return ""
    keys = "".join(
        f'<span><i class="{_KEYS.get(name, "")}"></i>{escaped(label_of(name))}</span>' for name in structures
    )
    return (
        f"<h2>The {len(worst)} worst cases</h2>"
        '<p class="note">By mean Dice; the slice with most wrong voxels. Coloured: predicted; dashed white: reference. The '
        "causes are found by rules over what is measured and are not proven; several may hold.</p>"
        f'<div class="legend">{keys}</div><div class="worsts">{"".join(worst_case_figure(case) for case in worst)}</div>'
    )


def _agreement(evaluation: Evaluation) -> str:
    shown = "".join(bland_altman_svg(one) for one in patient_comparisons(evaluation.cases, (EDV, ESV, EF, MASS)))
    if not shown:
        return ""
    return f'<h2>Agreement by patient</h2><div class="curves">{shown}</div><p class="note">{LINES}</p>'

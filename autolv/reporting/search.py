"""The history of a search: a table for people, one for programs, and a picture."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autolv.reporting._canvas import INK, OTHER_COLOUR, plain_axes, save, sheet
from autolv.reporting._text import grid, number
from autolv.schema.record import write_text
from autolv.schema.tuning import Searchable, Span, Study, Trial, Tuning, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 108
_SHORT = {"learning_rate": "rate", "weight_decay": "decay", "augmentation": "augment", "supervision": "heads"}
_FADED = "#999999"
_BEST = "#D55E00"  # Okabe & Ito 2008
_COLUMNS = 4


def space_table(study: Study) -> str:
    """Return what is searched, between which values, and why."""
    rows = []
    for one in study.space:
        between = (
            f"{one.low:.3g} to {one.high:.3g}" if isinstance(one, Span) else ", ".join(_text(v) for v in one.options)
        )
        first, *more = textwrap.wrap(one.reason, 58)
        rows += [(one.name, between, first), *(("", "", line) for line in more)]
    return "\n".join(grid(("searched", "between", "because"), rows, left=3))


def search_table(tuning: Tuning) -> str:
    """Return the trials, the best one marked, and what came of them."""
    study = tuning.study
    rows = []
    for trial in tuning.trials:
        mark = "*" if trial.number == tuning.best else " "
        folds = (number(trial.fold_dice.get(fold, math.nan), 4) for fold in study.search_folds)
        values = (_text(trial.point.get(one.name, "-")) for one in study.space)
        rows.append((f"{mark} {trial.number}", number(trial.dice, 4), *folds, f"{trial.seconds / 60:.1f}", *values))
    head = ("  trial", "Dice", *(f"fold {fold}" for fold in study.search_folds), "min")
    notes = [f"Trial {t.number} {t.state}: {t.note}." for t in tuning.trials if t.state != "finished"]
    return "\n".join(
        (
            f"{study.configuration.name} of {study.dataset}: {len(tuning.trials)} trials of "
            f"{study.schedule.trial_minutes:.3g} min per fold; trial 1 is as planned.",
            *grid((*head, *(_SHORT.get(one.name, one.name) for one in study.space)), rows),
            "",
            *(line for note in notes for line in textwrap.wrap(note, _WIDTH)),
            *textwrap.wrap(tuning.conclusion, _WIDTH),
        )
    )


def write_trials(trials: Sequence[Trial], study: Study, path: Path) -> None:
    """Write one row per trial to ``path``, as CSV."""
    names = [one.name for one in study.space]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["trial", "state", "dice", *(f"dice_fold_{f}" for f in study.search_folds), "seconds", *names, "note"]
    )
    for trial in trials:
        scores = [trial.dice, *(trial.fold_dice.get(fold, math.nan) for fold in study.search_folds)]
        cells = ["" if math.isnan(score) else f"{score:.6f}" for score in scores]
        values = [trial.point.get(name, "") for name in names]
        writer.writerow([trial.number, trial.state, *cells, f"{trial.seconds:.1f}", *values, trial.note])
    write_text(path, text.getvalue())


def search_figure(trials: Sequence[Trial], study: Study, path: Path) -> None:
    """Draw the Dice of each trial in their order, and over each quantity searched; write it to ``path``.

    Filled dots are finished trials; rings are trials stopped early, at the Dice of the folds that they had.
    """
    below = math.ceil(len(study.space) / _COLUMNS)
    figure = sheet(10.0, 2.6 + 2.3 * below)
    parts = figure.add_gridspec(1 + below, _COLUMNS)
    first = figure.add_subplot(parts[0, :])
    _draw(first, [float(t.number) for t in trials], trials)
    finished = [t for t in trials if t.state == "finished"]
    if finished:
        so_far = [max(t.dice for t in finished[: i + 1]) for i in range(len(finished))]
        first.step([t.number for t in finished], so_far, where="post", color=_FADED, linewidth=1.0, zorder=1)
        if finished[0].number == 1:
            first.axhline(finished[0].dice, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    plain_axes(first, f"{study.configuration.name}: Dice on the search's folds (dashed: as planned)", "trial")
    for position, one in enumerate(study.space):
        axes = figure.add_subplot(parts[1 + position // _COLUMNS, position % _COLUMNS])
        _over(axes, one, trials)
    save(figure, path)


def _over(axes: Axes, one: Searchable, trials: Sequence[Trial]) -> None:
    drawn = [trial for trial in trials if one.name in trial.point]
    if isinstance(one, Span):
        _draw(axes, [float(trial.point[one.name]) for trial in drawn], drawn)
        axes.set_xscale("log")
        ticks = (one.low, math.sqrt(one.low * one.high), one.high)
        axes.set_xticks(ticks, [_text(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(one.low / 1.1, one.high * 1.1)
    else:
        _draw(axes, [float(one.options.index(trial.point[one.name])) for trial in drawn], drawn)
        axes.set_xticks(range(len(one.options)), [_text(option) for option in one.options])
        axes.set_xlim(-0.5, len(one.options) - 0.5)
    plain_axes(axes, one.name.replace("_", " "), "")
    axes.tick_params(labelsize=7)


def _draw(axes: Axes, places: Sequence[float], trials: Sequence[Trial]) -> None:
    best = max((trial.dice for trial in trials if trial.state == "finished"), default=math.nan)
    for place, trial in zip(places, trials, strict=True):
        if trial.state == "finished":
            colour, above = (_BEST, 4) if trial.dice == best else (OTHER_COLOUR, 3)
            axes.plot(place, trial.dice, "o", color=colour, markersize=5, zorder=above)
        elif trial.fold_dice:
            score = sum(trial.fold_dice.values()) / len(trial.fold_dice)
            axes.plot(place, score, "o", color=_FADED, markersize=5, fillstyle="none")


def _text(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

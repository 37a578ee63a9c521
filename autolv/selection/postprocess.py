"""Which post-processing steps to keep: those that help across folds, and harm none of them and no structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.schema.results import Step
from autolv.selection.candidates import SharedCases, mean_dice

Steps = tuple[Step, ...]
# the Dice per case and structure, (cases, structures), that a model has after these steps in turn
DiceAfter = Callable[[Steps], NDArray[np.float64]]
_ROUNDING = 1e-9  # means that differ by less are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A step that was tried on top of those kept before it: what it gained in mean Dice, and what became of it.

    ``cross_fitted_gain`` counts it only in those parts whose other parts would have kept it.
    """

    step: Step
    gain: float
    cross_fitted_gain: float
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessingChoice:
    """The steps that are kept, the mean Dice before and after them, and each step's trial.

    ``cross_fitted_score`` is the mean Dice when the steps for each part are chosen on the other parts (NaN where the
    cases cannot be parted).
    """

    steps: Steps
    score_before: float
    score: float
    cross_fitted_score: float
    trials: tuple[Trial, ...]


def candidate_steps(structures: Sequence[str]) -> Steps:
    """Return the steps that are tried, in order: one heart, then per structure one piece and no holes."""
    per_structure = (
        Step(name=name, structure=structure) for structure in structures for name in ("largest_component", "fill_holes")
    )
    return (Step(name="largest_foreground"), *per_structure)


def choose_postprocessing(dice_after: DiceAfter, steps: Sequence[Step], cases: SharedCases) -> PostprocessingChoice:
    """Return which of ``steps``, tried in turn, are kept for a model whose Dice after any steps ``dice_after`` tells.

    A step is kept if, added to those before it, it raises the mean Dice, lowers no structure's mean and no part's (the
    parts are the folds), and still gains when it is used only in those parts whose other parts would keep it. A gain
    that comes from one fold alone is thus not trusted. ``dice_after`` is called once per distinct tuple of steps.
    """
    known = remember(dice_after)
    everything = np.ones(len(cases.patients), dtype=bool)
    kept, trials = _select(known, steps, cases, everything)
    return PostprocessingChoice(
        steps=kept,
        score_before=mean_dice(known(())),
        score=mean_dice(known(kept)),
        cross_fitted_score=mean_dice(_cross_fitted(known, steps, cases)),
        trials=trials,
    )


def select_steps(dice_after: DiceAfter, steps: Sequence[Step], cases: SharedCases, within: NDArray[np.bool_]) -> Steps:
    """Return the steps that would be kept if there were only the cases in ``within``."""
    return _select(remember(dice_after), steps, cases, within)[0]


def _select(
    dice_after: DiceAfter, steps: Sequence[Step], cases: SharedCases, within: NDArray[np.bool_]
) -> tuple[Steps, tuple[Trial, ...]]:
    kept: Steps = ()
    trials = []
    parts = cases.within(within).parts()
    for step in steps:
        before, after = dice_after(kept)[within], dice_after((*kept, step))[within]
        trial = _try(step, before, after, parts)
        trials.append(trial)
        if trial.kept:
            kept = (*kept, step)
    return kept, tuple(trials)


def _try(
    step: Step, before: NDArray[np.float64], after: NDArray[np.float64], parts: Sequence[NDArray[np.bool_]]
) -> Trial:
    against = _objection(before, after, parts)
    mixed = before.copy()
    for part in parts:
        others = [other[~part] for other in parts if other is not part]
        if not _objection(before[~part], after[~part], others):
            mixed[part] = after[part]
    cross_fitted_gain = mean_dice(mixed) - mean_dice(before)
    if not against and parts and not cross_fitted_gain > _ROUNDING:
        against = "does not gain where it is chosen on other patients"
    return Trial(
        step=step,
        gain=mean_dice(after) - mean_dice(before),
        cross_fitted_gain=cross_fitted_gain,
        kept=not against,
        reason=against or "raises the mean Dice, lowers no structure and no part of the patients",
    )


def _objection(before: NDArray[np.float64], after: NDArray[np.float64], parts: Sequence[NDArray[np.bool_]]) -> str:
    """Return why ``after`` is not to be preferred, or an empty text."""
    if not mean_dice(after) > mean_dice(before) + _ROUNDING:
        return "does not raise the mean Dice"
    for column in range(before.shape[1]):
        if _falls(before[:, column : column + 1], after[:, column : column + 1]):
            return "lowers a structure's mean Dice"
    if any(_falls(before[part], after[part]) for part in parts):
        return "lowers the mean Dice of a part of the patients"
    return ""


def _falls(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether the mean falls, or ceases to be defined while the former one was above zero."""
    first, second = mean_dice(before), mean_dice(after)
    return bool(second < first - _ROUNDING or (np.isnan(second) and first > 0))


def _cross_fitted(dice_after: DiceAfter, steps: Sequence[Step], cases: SharedCases) -> NDArray[np.float64]:
    table = np.full_like(dice_after(()), np.nan)
    for part in cases.parts():
        table[part] = dice_after(_select(dice_after, steps, cases, ~part)[0])[part]
    return table


def remember(dice_after: DiceAfter) -> DiceAfter:
    """Return ``dice_after`` such that each tuple of steps is computed once."""
    known: dict[tuple[str, ...], NDArray[np.float64]] = {}

    def remembered(steps: Steps) -> NDArray[np.float64]:
        key = tuple(step.key() for step in steps)
        if key not in known:
            known[key] = np.asarray(dice_after(steps), dtype=np.float64)
        return known[key]

    return remembered

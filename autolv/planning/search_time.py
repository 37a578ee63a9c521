"""How the time for a search is divided: between trials, between their folds, and the comparison at the end."""

from __future__ import annotations

import math

from autolv.core.errors import TrainingError
from autolv.schema.tuning import Schedule

CONFIRM_SHARE = 1 / 3  # of the time, at most, for the comparison on the folds held out
_TRAINING_SHARE = 0.75  # of a fold's time; loading, timing the first steps and validation take the rest
_SHORT = 1 / 3  # of the time that a fold is planned for: what a trial takes where their number is free
_FEWEST, _MOST = 2, 100  # trials: the planned configuration and one other at least
_WORTHWHILE = 10  # trials, that random ones before them can be learnt from; each is shorter then
_SHORTEST_MINUTES = 5 / 60  # of training, below which a fold is not worth its start
_ARMS = 2  # the planned configuration and the winner


def search_folds(folds: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the folds that a search sees, 1 and 2 or with fewer than four folds 1, and those that are held out."""
    seen = (1, 2) if folds > 3 else (1,)
    return seen, tuple(number for number in range(folds) if number not in seen)


def make_schedule(
    minutes: float, *, searched: int, held_out: int, planned_minutes: float, trials: int | None
) -> Schedule:
    """Return how ``minutes`` are divided between trials on ``searched`` folds and a comparison on ``held_out`` ones.

    The comparison trains each fold for the time that it is planned for, if a third of ``minutes`` is enough for that.
    Without ``trials`` their number follows from the time, a fold taking a third of what it is planned for, or less
    where that would make fewer than ten. Raises ``TrainingError`` where the time is too short.
    """
    if trials is not None and trials < _FEWEST:
        raise TrainingError(
            "one trial is the planned configuration itself, with nothing to compare it with.",
            remedy=f"Ask for {_FEWEST} --trials or more, or leave their number to the time.",
        )
    shortest = min(_SHORTEST_MINUTES, planned_minutes)
    confirm = min(planned_minutes, CONFIRM_SHARE * minutes * _TRAINING_SHARE / (_ARMS * held_out))
    search = minutes - _ARMS * held_out * confirm / _TRAINING_SHARE
    if trials is None:
        wanted = round(search * _TRAINING_SHARE / (searched * _SHORT * planned_minutes))
        affordable = int(search * _TRAINING_SHARE / (searched * shortest) + 1e-9)
        trials = max(_FEWEST, min(max(wanted, _WORTHWHILE), affordable, _MOST))
    trial = min(planned_minutes, search * _TRAINING_SHARE / (trials * searched))
    if min(confirm, trial) < shortest * (1 - 1e-9):
        least = max(
            trials * searched * shortest / _TRAINING_SHARE / (1 - CONFIRM_SHARE),
            _ARMS * held_out * shortest / _TRAINING_SHARE / CONFIRM_SHARE,
        )
        raise TrainingError(
            f"{minutes:g} min are too short for {trials} trials of {searched} folds and a comparison on {held_out}: "
            f"{60 * min(confirm, trial):.1f} s for a fold.",
            remedy=f"Give at least --time-budget {math.ceil(least)}m, or ask for fewer --trials.",
        )
    return Schedule(trials=trials, trial_minutes=trial, search_minutes=search, confirm_minutes=confirm)

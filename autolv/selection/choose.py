"""The choice between candidates: the simplest of those that cannot be told from the best.

The best of many scores is optimistic: part of it is luck. So the best must be better than a simpler candidate beyond
what resampling the patients explains, and the score of the choice is also given cross-fitted: chosen without a fold,
scored on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.evaluation.bootstrap import (
    Interval,
    mean_interval,
    paired_difference_interval,
)
from autolv.selection.candidates import ScoredCandidate, SharedCases, mean_dice


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A candidate's mean Dice with its 95 % interval, and its paired difference to the best with that one's.

    ``separable``: the interval of the difference leaves out zero.
    """

    name: str
    mean_dice: float
    interval: Interval
    difference_to_best: float
    difference_interval: Interval
    separable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The candidate that is ``chosen``, the ``best`` by its mean alone, and why they differ or do not.

    ``score`` is the chosen one's mean Dice, ``cross_fitted_score`` that of choices made on other cases than they are
    scored on (NaN where the cases cannot be parted). ``standings`` are in the order of the candidates.
    """

    chosen: str
    best: str
    reason: str
    score: float
    cross_fitted_score: float
    standings: tuple[Standing, ...]


def choose(candidates: Sequence[ScoredCandidate], cases: SharedCases, *, seed: int = 0) -> Choice:
    """Return the choice between ``candidates``, all scored on ``cases``.

    The best has the highest mean; of the candidates whose paired 95 % patient-bootstrap interval of the difference to
    the best includes zero, and whose mean no simpler one exceeds, the simplest is chosen. Raises ``ValueError`` for no
    candidate, two of one name, no defined score, or tables that are not of these cases.
    """
    _check(candidates, cases)
    best = _best(candidates)
    standings = tuple(_standing(candidate, best, cases, seed) for candidate in candidates)
    chosen = _simplest(candidates, best, cases, seed)
    return Choice(
        chosen=chosen.name,
        best=best.name,
        reason=_reason(chosen, best, standings, cases),
        score=mean_dice(chosen.dice),
        cross_fitted_score=mean_dice(_cross_fitted(candidates, cases, seed)),
        standings=standings,
    )


def pick(candidates: Sequence[ScoredCandidate], cases: SharedCases, within: NDArray[np.bool_], *, seed: int) -> str:
    """Return the name of the candidate that would be chosen if there were only the cases in ``within``."""
    inside = [
        ScoredCandidate(name=c.name, configurations=c.configurations, dice=c.dice[within], cost=c.cost)
        for c in candidates
    ]
    return _simplest(inside, _best(inside), cases.within(within), seed).name


def _check(candidates: Sequence[ScoredCandidate], cases: SharedCases) -> None:
    if not candidates:
        raise ValueError("there is no candidate to choose from")
    if len({candidate.name for candidate in candidates}) != len(candidates):
        raise ValueError("two candidates have one name")
    expected = (len(cases.patients), candidates[0].dice.shape[-1])
    for candidate in candidates:
        if candidate.dice.shape != expected:
            raise ValueError(f"{candidate.name}: expected Dice of shape {expected}, got {candidate.dice.shape}")
        if math.isnan(mean_dice(candidate.dice)):
            raise ValueError(f"{candidate.name} has no defined Dice")


def _best(candidates: Sequence[ScoredCandidate]) -> ScoredCandidate:
    """Return the candidate with the highest mean, the simpler of equals."""

    def rank(candidate: ScoredCandidate) -> tuple[float, int, float]:
        score = mean_dice(candidate.dice)
        return (math.inf if math.isnan(score) else -score, *candidate.simplicity)

    return min(candidates, key=rank)


def _standing(candidate: ScoredCandidate, best: ScoredCandidate, cases: SharedCases, seed: int) -> Standing:
    between = _difference_interval(candidate, best, cases, seed)
    return Standing(
        name=candidate.name,
        mean_dice=mean_dice(candidate.dice),
        interval=mean_interval(candidate.dice, cases.patients, seed=seed),
        difference_to_best=mean_dice(candidate.dice - best.dice),
        difference_interval=between,
        separable=_separable(between),
    )


def _difference_interval(candidate: ScoredCandidate, best: ScoredCandidate, cases: SharedCases, seed: int) -> Interval:
    if candidate is best:
        return 0.0, 0.0
    return paired_difference_interval(candidate.dice, best.dice, cases.patients, seed=seed)


def _separable(between: Interval) -> bool:
    """Whether an interval leaves out zero; NaN, for fewer than two patients, tells nothing apart."""
    return between[0] > 0 or between[1] < 0


def _simplest(
    candidates: Sequence[ScoredCandidate], best: ScoredCandidate, cases: SharedCases, seed: int
) -> ScoredCandidate:
    """Return the simplest candidate that cannot be told from the best; of equals the one with the higher mean.

    A candidate that a simpler one beats in the mean is passed over: that it cannot be told from the best says only
    that its own differences scatter more.
    """
    highest = -math.inf
    for candidate in sorted(candidates, key=lambda c: (*c.simplicity, -mean_dice(c.dice))):
        mean = mean_dice(candidate.dice)
        if mean >= highest and not _separable(_difference_interval(candidate, best, cases, seed)):
            return candidate
        highest = max(highest, mean) if not math.isnan(mean) else highest
    return best


def _cross_fitted(candidates: Sequence[ScoredCandidate], cases: SharedCases, seed: int) -> NDArray[np.float64]:
    """Return the Dice of each case by the candidate that the cases outside its part would choose."""
    table = np.full_like(candidates[0].dice, np.nan)
    by_name = {candidate.name: candidate for candidate in candidates}
    for part in cases.parts():
        table[part] = by_name[pick(candidates, cases, ~part, seed=seed)].dice[part]
    return table


def _reason(chosen: ScoredCandidate, best: ScoredCandidate, standings: Sequence[Standing], cases: SharedCases) -> str:
    place = {standing.name: standing for standing in standings}
    score = f"{place[best.name].mean_dice:.4f}"
    over = f"{len(cases.patients)} cases of {len(set(cases.patients))} patients"
    if len(standings) == 1:
        return f"{best.name} is the only candidate (mean Dice {score} over {over})."
    if chosen is best:
        level = sum(not standing.separable for standing in standings) - 1
        if not level:
            return f"{best.name} has the highest mean Dice, {score} over {over}, clearly above all others."
        return (
            f"{best.name} has the highest mean Dice, {score} over {over}; {level} other{'s' * (level > 1)} cannot be "
            "told from it and none of them is simpler."
        )
    standing = place[chosen.name]
    low, high = standing.difference_interval
    ours, theirs = len(chosen.configurations), len(best.configurations)
    simpler = f"{ours} configuration{'s' * (ours > 1)} instead of {theirs}" if ours < theirs else "cheaper to run"
    return (
        f"{best.name} has the highest mean Dice, {score} over {over}, but {chosen.name} with {standing.mean_dice:.4f} "
        f"cannot be told from it (difference {standing.difference_to_best:+.4f}, "
        f"95 % interval {low:+.4f} to {high:+.4f}) and is simpler: {simpler}."
    )

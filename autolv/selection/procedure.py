"""The whole choice, configurations and then post-processing, and an honest score of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.schema.results import Step
from autolv.selection.candidates import ScoredCandidate, SharedCases, mean_dice
from autolv.selection.choose import Choice, choose, pick
from autolv.selection.postprocess import (
    PostprocessingChoice,
    Steps,
    choose_postprocessing,
    remember,
    select_steps,
)

# the Dice per case and structure of the candidate so named after these steps
CandidateDiceAfter = Callable[[str, Steps], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice of a candidate, that of its post-processing, and the score of both made on other cases.

    ``cross_fitted_score``: for each part of the cases, candidate and steps are chosen on the others and scored on it.
    NaN where the cases cannot be parted.
    """

    choice: Choice
    postprocessing: PostprocessingChoice
    cross_fitted_score: float


def select(
    candidates: Sequence[ScoredCandidate],
    dice_after: CandidateDiceAfter,
    steps: Sequence[Step],
    cases: SharedCases,
    *,
    seed: int = 0,
) -> Selection:
    """Return which candidate and which of ``steps`` to predict with.

    ``dice_after(name, steps)`` is called for the chosen candidate and those that a part would have chosen instead; with
    no steps it is not called, as ``candidates`` hold that already.
    """
    choice = choose(candidates, cases, seed=seed)
    plain = {candidate.name: candidate.dice for candidate in candidates}
    known = {name: remember(_of(name, plain[name], dice_after)) for name in plain}
    table = np.full_like(candidates[0].dice, np.nan)
    for part in cases.parts():
        name = pick(candidates, cases, ~part, seed=seed)
        kept = select_steps(known[name], steps, cases, ~part)
        table[part] = known[name](kept)[part]
    return Selection(
        choice=choice,
        postprocessing=choose_postprocessing(known[choice.chosen], steps, cases),
        cross_fitted_score=mean_dice(table),
    )


def _of(
    name: str, plain: NDArray[np.float64], dice_after: CandidateDiceAfter
) -> Callable[[Steps], NDArray[np.float64]]:
    return lambda steps: dice_after(name, steps) if steps else plain

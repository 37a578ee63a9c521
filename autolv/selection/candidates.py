"""What is chosen between: single configurations and ensembles of them, scored on the cases that all of them share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from autolv.evaluation.means import mean

_MOST_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedCases:
    """The cases on which candidates are compared, one entry per case: its patient, and the fold that validated it."""

    patients: tuple[str, ...]
    folds: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.patients) != len(self.folds) or not self.patients:
            raise ValueError(f"expected one patient and one fold per case, got {len(self.patients)}, {len(self.folds)}")
        if len(set(zip(self.patients, self.folds, strict=True))) != len(set(self.patients)):
            raise ValueError("a patient's cases must be of one fold")

    def parts(self) -> tuple[NDArray[np.bool_], ...]:
        """Return the parts for cross-fitting as masks over the cases: what is chosen outside a part is scored in it.

        They are the folds. Where all cases are of one fold, its patients are dealt into up to five parts: no network
        was trained on any of them, so the choice stays apart from its score. One patient cannot be parted: ``()``.
        """
        groups: Sequence[int] = self.folds
        if len(set(groups)) == 1:
            names = sorted(set(self.patients))
            count = min(len(names), _MOST_PARTS)
            number = {name: i % count for i, name in enumerate(names)}
            groups = [number[name] for name in self.patients]
        values = sorted(set(groups))
        if len(values) < 2:
            return ()
        return tuple(np.array([group == value for group in groups]) for value in values)

    def within(self, mask: NDArray[np.bool_]) -> SharedCases:
        """Return the cases where ``mask`` is true."""
        kept = np.flatnonzero(mask)
        return SharedCases(patients=tuple(self.patients[i] for i in kept), folds=tuple(self.folds[i] for i in kept))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCandidate:
    """A configuration or an ensemble with its Dice per case and structure, (cases, structures), NaN where undefined.

    ``cost`` is what predicting a case takes, in any unit that is the same for all candidates.
    """

    name: str
    configurations: tuple[str, ...]
    dice: NDArray[np.float64]
    cost: float

    @property
    def simplicity(self) -> tuple[int, float]:
        """What is compared to find the simpler of two: fewer configurations, then the lower cost."""
        return len(self.configurations), self.cost


def enumerate_candidates(configurations: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return each configuration alone, each pair, and, of more than two, all together; in the order given."""
    names = tuple(configurations)
    if len(set(names)) != len(names):
        raise ValueError(f"each configuration may be named once, got {names}")
    singles = tuple((name,) for name in names)
    pairs = tuple(combinations(names, 2))
    return singles + pairs + ((names,) if len(names) > 2 else ())


def candidate_name(configurations: Sequence[str]) -> str:
    """Return the name of a candidate for people; programs keep the tuple of configurations."""
    return " + ".join(configurations)


def mean_dice(dice: NDArray[np.float64]) -> float:
    """Return the mean over structures of the means over cases of a (cases, structures) table; NaN is left out."""
    total = float(np.add.reduce(dice, axis=None))
    if dice.size and not math.isnan(total):  # nothing to leave out, as nearly always
        return total / dice.size
    return mean([mean(column) for column in dice.T])

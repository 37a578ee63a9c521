"""What a search for hyper-parameters is, found and left behind."""

from __future__ import annotations

from typing import Literal

from autolv.schema.plan import Configuration
from autolv.schema.record import NanFloat, Record

Value = str | int | float
Point = dict[str, Value]  # what is searched -> the value drawn for it


class Span(Record):
    """A number that is searched between two others, all factors being equally likely."""

    name: str
    low: float
    high: float
    reason: str


class Options(Record):
    """A choice between a few values."""

    name: str
    options: tuple[Value, ...]
    reason: str


Searchable = Span | Options


class Schedule(Record):
    """How the time is spent: ``trial_minutes`` and ``confirm_minutes`` train one fold; ``search_minutes`` is all trials'."""

    trials: int
    trial_minutes: float
    search_minutes: float
    confirm_minutes: float


class Study(Record):
    """``study.json``: what a search was begun with, and by which it goes on.

    ``configuration`` is the planned one; ``trials_asked`` is ``None`` where their number followed from the time. Trials
    are scored on the ``search_folds``; the ``held_out_folds`` are for the comparison with the planned one at the end.
    """

    version: Literal[1] = 1
    dataset: str
    configuration: Configuration
    space: tuple[Searchable, ...]
    search_folds: tuple[int, ...]
    held_out_folds: tuple[int, ...]
    schedule: Schedule
    time_budget_minutes: float
    trials_asked: int | None
    seed: int
    plan_hash: str
    splits_hash: str
    data_hash: str


class Spent(Record):
    """``spent.json``: the time that a study has taken so far, whatever was killed in between."""

    seconds: float = 0.0


class Trial(Record):
    """One trial, numbered from 1, which is as planned.

    ``point`` is what was drawn; ``dice`` is the mean over the search folds, NaN unless it finished.
    """

    number: int
    state: Literal["finished", "stopped early", "failed", "under way"]
    point: Point
    fold_dice: dict[int, float]
    dice: NanFloat
    seconds: float
    note: str = ""


class Verdict(Record):
    """The winner against the planned configuration on folds that the search has not seen, both trained alike.

    ``difference`` is the winner's mean Dice minus the other's, ``interval`` its 95 % paired patient bootstrap.
    """

    folds: tuple[int, ...]
    minutes_per_fold: float
    cases: int
    patients: int
    dice_before: float
    dice: float
    difference: float
    interval: tuple[NanFloat, NanFloat]

    @property
    def better(self) -> bool:
        """Whether the interval lies above zero."""
        return self.interval[0] > 0

    @property
    def worse(self) -> bool:
        """Whether the interval lies below zero."""
        return self.interval[1] < 0


class Tuning(Record):
    """``result.json``: all trials, the configuration that the best became (``None``: none beat the planned one).

    ``verdict`` is ``None`` where there was no winner, or no time to ask the held-out folds.
    """

    version: Literal[1] = 1
    study: Study
    place: str  # below the dataset's results
    trials: tuple[Trial, ...]
    best: int
    winner: str | None
    verdict: Verdict | None
    conclusion: str
    minutes: float

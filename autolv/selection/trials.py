"""The trials of a search: drawn, judged and kept by Optuna, in a file of JSON lines that a kill cannot spoil."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autolv.core.errors import TrainingError
from autolv.schema.tuning import Point, Searchable, Span, Trial, Value

if TYPE_CHECKING:
    import optuna

_NAME = "autolv"
_LOCK_S = 3  # after which a lock is taken for one that a kill left: writing takes milliseconds
_RANDOM_SHARE = 0.3  # of the trials, drawn at random before the sampler learns from them
_MOST_RANDOM = 10  # Optuna's own number
_BEFORE_STOPPING = 4  # trials finished before one may be stopped early: a median of fewer says little
_SECONDS, _NOTE, _BEGUN = "seconds", "note", "begun"
State = Literal["finished", "stopped early", "failed", "under way"]


def require_optuna() -> None:
    """Raise ``TrainingError`` with what to do where Optuna is not installed: only a search needs it."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise TrainingError(
            "a search needs the package optuna, which is not installed.",
            remedy='Install it beside autolv: python -m pip install -c constraints.txt ".[tune]"',
        ) from error


class Trials:
    """The trials of one search. ``first`` is the point of the first one; ``count`` is how many are meant to be made.

    A trial's values depend on the seed, its number and the trials before it alone, so that a search that was killed
    goes on as if it had not been. Values are drawn by a tree-structured Parzen estimator (Bergstra 2011); a trial whose
    Dice on its first fold is below the median of the others' there is stopped.
    """

    def __init__(self, journal: Path, space: Sequence[Searchable], first: Point, *, count: int, seed: int) -> None:
        import optuna
        from optuna.storages import journal as journals

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _drop_torn_line(journal)
        lock = journals.JournalFileOpenLock(str(journal), grace_period=_LOCK_S)
        storage = optuna.storages.JournalStorage(journals.JournalFileBackend(str(journal), lock_obj=lock))
        self._study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_STOPPING),
            load_if_exists=True,
        )
        self._space, self._count, self._seed = space, count, seed
        self._trial: optuna.Trial | None = None
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial({one.name: first[one.name] for one in space})

    def begin(self, clock_s: float) -> Trial:
        """Return the trial to make: the one that was under way when the search stopped, else a new one.

        ``clock_s`` is the time that the search has taken so far.
        """
        import optuna

        under_way = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        number = under_way[0].number if under_way else len(self.done)
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed * 10_000 + number,
            n_startup_trials=min(_MOST_RANDOM, math.ceil(_RANDOM_SHARE * self._count)),
        )
        trial = optuna.Trial(self._study, under_way[0]._trial_id) if under_way else self._study.ask()
        for one in self._space:
            _draw(trial, one)
        if _BEGUN not in trial.user_attrs:
            trial.set_user_attr(_BEGUN, clock_s)
        self._trial = trial
        return self.all[-1]

    def report(self, position: int, fold: int, dice: float) -> bool:
        """Note the Dice of a fold of the trial under way, the ``position``-th; return whether to stop the trial."""
        trial = self._under_way()
        trial.set_user_attr(_fold_key(fold), dice)
        if position not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(dice, position)
        return trial.should_prune()

    def finish(self, dice: float, *, clock_s: float) -> None:
        """Note the Dice that the trial under way has reached over all its folds."""
        self._end(clock_s, "")
        self._study.tell(self._under_way(), dice)

    def stop(self, note: str, *, clock_s: float) -> None:
        """Note that the trial under way was stopped early, and why."""
        import optuna

        self._end(clock_s, note)
        self._study.tell(self._under_way(), state=optuna.trial.TrialState.PRUNED)

    def fail(self, note: str, *, clock_s: float) -> None:
        """Note that the trial under way has failed, and why."""
        import optuna

        self._end(clock_s, note)
        self._study.tell(self._under_way(), state=optuna.trial.TrialState.FAIL)

    @property
    def all(self) -> tuple[Trial, ...]:
        """All trials begun, in their order."""
        return tuple(
            _record(trial) for trial in self._study.get_trials(deepcopy=False) if trial.state.name != "WAITING"
        )

    @property
    def done(self) -> tuple[Trial, ...]:
        """The trials that have ended."""
        return tuple(trial for trial in self.all if trial.state != "under way")

    def _under_way(self) -> optuna.Trial:
        if self._trial is None:
            raise ValueError("no trial has begun")
        return self._trial

    def _end(self, clock_s: float, note: str) -> None:
        trial = self._under_way()
        trial.set_user_attr(_SECONDS, clock_s - float(trial.user_attrs[_BEGUN]))
        trial.set_user_attr(_NOTE, note)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the finished trial with the highest Dice, the earlier of equals; ``None`` where none is finished."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return max(finished, key=lambda trial: (trial.dice, -trial.number), default=None)


def _draw(trial: optuna.Trial, one: Searchable) -> Value:
    if isinstance(one, Span):
        return trial.suggest_float(one.name, one.low, one.high, log=True)
    value: Value = trial.suggest_categorical(one.name, one.options)  # type: ignore[assignment]
    return value


def _record(trial: optuna.trial.FrozenTrial) -> Trial:
    attributes: Mapping[str, object] = trial.user_attrs
    states: dict[str, State] = {"COMPLETE": "finished", "PRUNED": "stopped early", "FAIL": "failed"}
    folds = {int(key.removeprefix("dice_")): float(str(value)) for key, value in attributes.items() if "dice_" in key}
    state = states.get(trial.state.name, "under way")
    return Trial(
        number=trial.number + 1,
        state=state,
        point=dict(trial.params),
        fold_dice=folds,
        dice=trial.value if state == "finished" and trial.value is not None else math.nan,
        seconds=float(str(attributes.get(_SECONDS, 0.0))),
        note=str(attributes.get(_NOTE, "")),
    )


def _fold_key(fold: int) -> str:
    return f"dice_{fold}"


def _drop_torn_line(journal: Path) -> None:
    """Cut off what a kill left of a line: what is written after it could not be read."""
    content = journal.read_bytes() if journal.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)

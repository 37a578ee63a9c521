"""Recipe of ``autolv_tune``: a search about a planned configuration, its winner in the plan, and a verdict on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from autolv.core.errors import PlanError, WorkspaceError
from autolv.core.workspace import Workspace
from autolv.losses import LOSSES
from autolv.parallel import Position
from autolv.pipeline.cache import data_hash
from autolv.pipeline.context import load_plan, load_splits, open_dataset, pick_configuration, thread_count
from autolv.pipeline.interrupt import stop_signals
from autolv.pipeline.tune_clock import Clock
from autolv.pipeline.tune_folds import FoldTrainer
from autolv.pipeline.tune_search import (
    COMPARISON,
    compare,
    run_of,
    run_trials,
    verdict_in_words,
)
from autolv.pipeline.tune_winner import add_to_plan, below_results, note_in_plan
from autolv.planning import budget
from autolv.planning.search import Ground, candidate, planned_point, search_space
from autolv.planning.search_time import make_schedule, search_folds
from autolv.reporting.search import search_figure, space_table, write_trials
from autolv.runtime.device import resolve_device
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.tuning import Study, Trial, Tuning, Verdict
from autolv.selection.trials import Trials, best_of, require_optuna

_log = logging.getLogger(__name__)
_DRAW_EVERY_S = 60.0
_BEGUN_WITH = {
    "time_budget_minutes": "--time-budget in minutes",
    "trials_asked": "--trials",
    "seed": "--seed",
    "plan_hash": "plan",
    "splits_hash": "splits",
    "data_hash": "images or labels",
}


def tune(
    dataset: str,
    *,
    time_budget_minutes: float,
    configuration: str | None = None,
    trials: int | None = None,
    root: Path | str = ".",
    device: str = "auto",
    workers: int | None = None,
    seed: int = 0,
    show: Callable[[Position], None] | None = None,
) -> Tuning:
    """Search hyper-parameters of ``configuration`` (else the recommended one) for ``time_budget_minutes`` in all.

    Every trial is trained for the same short time on one or two folds; without ``trials`` their number follows from the
    time. The best becomes a new configuration of the plan if it scores above the planned one, and both are compared on
    the folds that the search has not seen. A search that was stopped or killed goes on with the same call, the time
    already spent counting. ``show`` is called after each iteration with the position in its fold. Returns, and leaves
    in the study's folder, the trials and the verdict. Raises ``PlanError``, ``TrainingError`` (the time is too short;
    Optuna is missing), ``WorkspaceError`` (a search with other choices is under way), ``Interrupted``.
    """
    begin = time.monotonic()
    require_optuna()
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset)
    plan = load_plan(workspace, dataset)
    splits = load_splits(workspace, record)
    chosen = pick_configuration(plan, configuration)
    resolve_device(device)
    ground = Ground(planned=chosen, fingerprint=_fingerprint(workspace, dataset), compute=plan.compute)
    data = data_hash(folder, record, workers=thread_count(workers))
    wanted = _new_study(
        ground, plan, folds=len(splits.folds), minutes=time_budget_minutes, trials=trials, seed=seed,
        splits_hash=splits.content_hash(), data=data,
    )  # fmt: skip
    place, study = _find_or_begin(workspace, wanted)
    if (place / "result.json").exists():
        _log.info("this search is finished: %s", place)
        return read_record(Tuning, place / "result.json")
    _log.info("search in %s\n%s", place, space_table(study))
    trainer = FoldTrainer(
        workspace=workspace.of_study(chosen.name, place.name), folder=folder, dataset=record, plan=plan, splits=splits,
        study=study, device=device, workers=thread_count(workers), show=show,
    )  # fmt: skip
    clock = Clock(place / "spent.json", begin)
    tuning = _run(workspace, place, study, ground, trainer, clock)
    write_record(tuning, place / "result.json")
    return tuning


def _run(workspace: Workspace, place: Path, study: Study, ground: Ground, trainer: FoldTrainer, clock: Clock) -> Tuning:
    """Make the trials, add the winner to the plan, compare it with the planned configuration."""
    trials = Trials(
        place / "trials.jsonl", study.space, planned_point(study.configuration),
        count=study.schedule.trials, seed=study.seed,
    )  # fmt: skip
    history = _History(place, study, trials, trainer, clock)
    winner: Configuration | None = None
    verdict: Verdict | None = None
    with stop_signals() as stop_asked:
        try:
            run_trials(study, ground, trials, trainer, clock, stop_asked=stop_asked, on_trial=history)
            history.draw()
            best = _best(trials.all)
            found = candidate(ground, best.point)
            if found.block_hashes() != study.configuration.block_hashes():
                winner = add_to_plan(workspace, place, study, found, best, trials.all[0])
                verdict = compare(study, winner, trainer, clock, stop_asked=stop_asked)
        finally:
            clock.write()
    conclusion = _conclusion(study, trials.all, winner, verdict)
    if winner is not None:
        trainer.discard(COMPARISON)
        note_in_plan(workspace, study.dataset, winner.name, conclusion)
    return Tuning(
        study=study,
        place=below_results(place),
        trials=trials.all,
        best=best.number,
        winner=None if winner is None else winner.name,
        verdict=verdict,
        conclusion=conclusion,
        minutes=round(clock.seconds / 60.0, 2),
    )


class _History:
    """What is kept after each trial: the table, from time to time the picture; what the trial needs no more goes."""

    def __init__(self, place: Path, study: Study, trials: Trials, trainer: FoldTrainer, clock: Clock) -> None:
        self._place, self._study, self._trials, self._trainer, self._clock = place, study, trials, trainer, clock
        self._drawn_s = -_DRAW_EVERY_S

    def __call__(self, trial: Trial) -> None:
        self._trainer.discard(run_of(trial))
        write_trials(self._trials.all, self._study, self._place / "trials.csv")
        if self._clock.seconds - self._drawn_s >= _DRAW_EVERY_S:
            self.draw()

    def draw(self) -> None:
        search_figure(self._trials.all, self._study, self._place / "trials.png")
        self._drawn_s = self._clock.seconds


def _new_study(
    ground: Ground,
    plan: Plan,
    *,
    folds: int,
    minutes: float,
    trials: int | None,
    seed: int,
    splits_hash: str,
    data: str,
) -> Study:
    """Return the study that is asked for, were it begun now."""
    if folds < 2:
        raise PlanError(
            f"{plan.dataset} has one fold: a search needs one to score trials on and another to test its winner on.",
            remedy=f"Make more: autolv_plan_and_preprocess -d {plan.dataset} --folds 5 --overwrite",
        )
    searched, held_out = search_folds(folds)
    return Study(
        dataset=plan.dataset,
        configuration=ground.planned,
        space=search_space(ground, list(LOSSES)),
        search_folds=searched,
        held_out_folds=held_out,
        schedule=make_schedule(
            minutes, searched=len(searched), held_out=len(held_out), planned_minutes=budget.minutes(plan.compute),
            trials=trials,
        ),
        time_budget_minutes=minutes,
        trials_asked=trials,
        seed=seed,
        plan_hash=plan.training_hash(),
        splits_hash=splits_hash,
        data_hash=data,
    )  # fmt: skip


def _find_or_begin(workspace: Workspace, wanted: Study) -> tuple[Path, Study]:
    """Return the folder and the record of the study asked for: the last one where it is that, else a new one.

    Raises ``WorkspaceError`` while one with other choices is unfinished.
    """
    studies = workspace.studies(wanted.dataset, wanted.configuration.name)
    numbers = sorted(int(path.parent.name.removeprefix("study_")) for path in studies.glob("study_*/study.json"))
    if numbers:
        place = studies / f"study_{numbers[-1]}"
        last = read_record(Study, place / "study.json")
        differing = [name for name in _BEGUN_WITH if getattr(last, name) != getattr(wanted, name)]
        if last.configuration.block_hashes() != wanted.configuration.block_hashes():
            differing.append("configuration")
        if not differing:
            return place, last
        if not (place / "result.json").exists():
            raise WorkspaceError(
                f"a search in {place} is not finished and was begun with another "
                f"{', '.join(_differing(name, last, wanted) for name in differing)}.",
                remedy="Go on with it by the choices that it was begun with, or delete that folder to begin anew.",
            )
    place = studies / f"study_{numbers[-1] + 1 if numbers else 1}"
    write_record(wanted, place / "study.json")
    return place, wanted


def _differing(name: str, last: Study, wanted: Study) -> str:
    if name == "configuration":
        return name
    return f"{_BEGUN_WITH[name]} ({getattr(last, name)}, now {getattr(wanted, name)})"


def _best(trials: Sequence[Trial]) -> Trial:
    best = best_of(trials)
    if best is None:
        raise ValueError("a search ends with one finished trial at least")
    return best


def _conclusion(study: Study, trials: Sequence[Trial], winner: Configuration | None, verdict: Verdict | None) -> str:
    before = study.configuration.name
    if len(trials) == 1:
        return f"The time was enough for {before} itself alone: nothing was searched. Give more --time-budget."
    if winner is None:
        return f"No trial scored above {before} itself, which stays as it was planned."
    if verdict is None:
        return f"There was no time to compare {winner.name} with {before} on other folds: it is not called better."
    return verdict_in_words(winner.name, before, verdict)


def _fingerprint(workspace: Workspace, dataset: str) -> Fingerprint:
    path = workspace.fingerprint_file(dataset)
    if not path.exists():
        raise PlanError(
            f"{dataset} has no fingerprint ({path}).", remedy=f"Run: autolv_plan_and_preprocess -d {dataset}"
        )
    return read_record(Fingerprint, path)

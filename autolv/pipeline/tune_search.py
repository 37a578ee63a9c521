"""A search from its first trial to its verdict, whatever it is that trains a fold."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from autolv.core.errors import Interrupted, TrainingError
from autolv.evaluation.bootstrap import paired_difference_interval
from autolv.evaluation.means import mean
from autolv.pipeline.tune_clock import Clock
from autolv.planning.search import Ground, candidate
from autolv.schema.plan import Configuration
from autolv.schema.results import Evaluation
from autolv.schema.tuning import Point, Study, Trial, Verdict
from autolv.selection.candidates import mean_dice
from autolv.selection.trials import Trials

_log = logging.getLogger(__name__)
COMPARISON = "comparison"
_FEWEST = 2  # trials: the planned configuration and one other
Stop = Callable[[], bool]
# (configuration, run, fold, minutes, whether to stop) -> the scores of the fold's validation patients
TrainFold = Callable[[Configuration, str, int, float, Stop], Evaluation]


def run_of(trial: Trial) -> str:
    """Return the name of the run that a trial is."""
    return f"trial_{trial.number:03d}"


def run_trials(
    study: Study, ground: Ground, trials: Trials, train: TrainFold, clock: Clock, *, stop_asked: Stop,
    on_trial: Callable[[Trial], None],
) -> None:  # fmt: skip
    """Make trials until there are as many as planned, or the time for them is spent; ``on_trial`` is called after each.

    None is begun that would not usually end in time, and one that does not is stopped. Raises ``Interrupted`` where
    ``stop_asked`` says so, ``TrainingError`` where not even the planned configuration could be trained.
    """
    while len(trials.done) < study.schedule.trials:
        limit_s = _limit_s(study, trials.done)
        usual_s = statistics.median(trial.seconds for trial in trials.done) if trials.done else 0.0
        under_way = len(trials.all) > len(trials.done)
        if not under_way and clock.seconds + usual_s > limit_s:
            break
        trial = trials.begin(clock.seconds)
        _log.info("trial %d of %d: %s", trial.number, study.schedule.trials, point_in_words(trial.point))
        _make(study, ground, trial, trials, train, clock, limit_s, stop_asked)
        clock.write()
        ended = trials.all[-1]
        result = ended.note or f"Dice {ended.dice:.4f}"
        _log.info("trial %d %s after %.0f s: %s", ended.number, ended.state, ended.seconds, result)
        on_trial(ended)
    if len(trials.done) < study.schedule.trials:
        _log.info("the time is spent after %d of %d trials.", len(trials.done), study.schedule.trials)


def _limit_s(study: Study, done: Sequence[Trial]) -> float:
    """Return the time at which the trials must end: that of the schedule, or earlier where validation takes long.

    What folds usually take beyond their training is set aside for the comparison too, up to half of all time; but
    first there must be something to compare.
    """
    schedule, total_s = study.schedule, 60.0 * study.time_budget_minutes
    if len(done) < _FEWEST:
        return 60.0 * schedule.search_minutes
    folds_s = [trial.seconds / len(trial.fold_dice) for trial in done if trial.fold_dice]
    beside_s = max(0.0, statistics.median(folds_s) - 60.0 * schedule.trial_minutes) if folds_s else 0.0
    comparison_s = 2 * len(study.held_out_folds) * (60.0 * schedule.confirm_minutes + beside_s)
    return min(60.0 * schedule.search_minutes, max(0.5 * total_s, total_s - comparison_s))


def _make(
    study: Study,
    ground: Ground,
    trial: Trial,
    trials: Trials,
    train: TrainFold,
    clock: Clock,
    limit_s: float,
    stop_asked: Stop,
) -> None:
    """Train one trial's folds one after another and note how it ends."""
    configuration = candidate(ground, trial.point)
    scores: list[float] = []
    try:
        for position, fold in enumerate(study.search_folds):
            evaluation = train(
                configuration, run_of(trial), fold, study.schedule.trial_minutes,
                lambda: clock.up(limit_s) or stop_asked(),
            )  # fmt: skip
            if math.isnan(evaluation.mean_dice):
                raise TrainingError(f"no structure of fold {fold} has a defined Dice.")
            scores.append(evaluation.mean_dice)
            last = position == len(study.search_folds) - 1
            if trials.report(position, fold, evaluation.mean_dice) and not last:
                trials.stop(f"below the median on fold {fold}", clock_s=clock.seconds)
                return
    except Interrupted:
        if stop_asked():
            raise
        if trial.number == 1:
            raise TrainingError(
                f"the time for the trials was spent before {study.configuration.name} itself was trained and scored.",
                remedy="Give the search more time: delete its folder and begin again.",
            ) from None
        trials.fail("the time was spent", clock_s=clock.seconds)
    except TrainingError as error:
        if trial.number == 1:  # the planned configuration: nothing could be compared with it
            raise
        trials.fail(error.message, clock_s=clock.seconds)
    else:
        trials.finish(mean(scores), clock_s=clock.seconds)


def compare(study: Study, winner: Configuration, train: TrainFold, clock: Clock, *, stop_asked: Stop) -> Verdict | None:
    """Train the planned configuration and ``winner`` on the folds held out and compare them, patient by patient.

    Folds that both have ended within the time count; ``None`` where there is none.
    """
    limit_s = 60.0 * study.time_budget_minutes
    minutes = study.schedule.confirm_minutes
    done: dict[int, tuple[Evaluation, Evaluation]] = {}
    for fold in study.held_out_folds:
        try:
            before, after = (
                train(configuration, COMPARISON, fold, minutes, lambda: clock.up(limit_s) or stop_asked())
                for configuration in (study.configuration, winner)
            )
        except Interrupted:
            if stop_asked():
                raise
            _log.warning("the time is spent: folds from %d on are not compared.", fold)
            break
        done[fold] = (before, after)
        clock.write()
    return verdict_of(done, minutes, seed=study.seed) if done else None


def verdict_of(folds: dict[int, tuple[Evaluation, Evaluation]], minutes: float, *, seed: int) -> Verdict:
    """Return what two results (before, after) on the same folds say about the difference between them."""
    cases = [case for before, _ in folds.values() for case in before.cases]
    structures = list(cases[0].structures)
    before, after = (
        np.array(
            [[case.structures[s].dice for s in structures] for pair in folds.values() for case in pair[side].cases]
        )
        for side in (0, 1)
    )
    patients = [case.patient for case in cases]
    return Verdict(
        folds=tuple(folds),
        minutes_per_fold=minutes,
        cases=len(cases),
        patients=len(set(patients)),
        dice_before=mean_dice(before),
        dice=mean_dice(after),
        difference=mean_dice(after - before),
        interval=paired_difference_interval(after, before, patients, seed=seed),
    )


def verdict_in_words(name: str, before: str, verdict: Verdict) -> str:
    """Return the verdict as a sentence: better only where the interval of the difference lies above zero."""
    said = "is better than" if verdict.better else "is worse than" if verdict.worse else "cannot be called better than"
    low, high = verdict.interval
    within = "" if math.isnan(low) else f", 95 % interval {low:+.4f} to {high:+.4f}"
    return (
        f"{name} {said} {before}: mean Dice {verdict.dice:.4f} against {verdict.dice_before:.4f} on {verdict.cases} cases "
        f"of {verdict.patients} patients that the search has not seen ({folds_in_words(verdict.folds)}, "
        f"{verdict.minutes_per_fold:.3g} min each), difference {verdict.difference:+.4f}{within}."
    )


def folds_in_words(folds: Sequence[int]) -> str:
    """Return ``"fold 1"`` or ``"folds 1, 2"``."""
    return f"fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))}"


def point_in_words(point: Point) -> str:
    """Return a point as ``"learning_rate 0.002, width 16"``."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in point.items()
    )

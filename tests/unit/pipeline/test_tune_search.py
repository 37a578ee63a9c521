"""A search from its first trial to its verdict, with a stand-in for training: bounded, resumable, honest."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autolv.core.errors import Interrupted, TrainingError
from autolv.evaluation.summary import summarise
from autolv.pipeline.tune_clock import Clock
from autolv.pipeline.tune_search import COMPARISON, compare, run_trials, verdict_in_words, verdict_of
from autolv.planning.search import Ground, planned_point, search_space
from autolv.planning.search_time import make_schedule
from autolv.reporting.search import search_figure, search_table, space_table, write_trials
from autolv.schema.dataset import Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Intensity
from autolv.schema.plan import Compute, Configuration
from autolv.schema.results import CaseMetrics, Evaluation, StructureMetrics
from autolv.schema.tuning import Study, Trial, Tuning
from autolv.selection.trials import Trials

COMPUTE = Compute(device="cpu", cores=2, memory_gb=18.0, time_budget_minutes=12.0)


def _fingerprint() -> Fingerprint:
    from autolv.planning.fingerprint import combine_fingerprints
    from autolv.schema.dataset import Case

    nothing = Intensity(mean=0.0, sd=1.0, p005=0.0, p50=0.0, p995=1.0)
    cases = tuple(
        CaseFingerprint(
            case=f"p{i:02d}", patient=f"p{i:02d}", phase=None, group=None, image_hash=str(i), shape=(9, 256, 216),
            spacing_mm=(10.0, 1.5625, 1.5625), orientation="kji", nonzero_box_shape=(9, 256, 216), intensity=nothing,
            foreground_intensity=nothing, heart_extent_mm=(80.0, 140.0, 150.0), heart_centre=(0.5, 0.5, 0.5),
            heart_slices=9, volume_ml={"lv_cavity": 100.0}, slices={"lv_cavity": 9},
        )
        for i in range(40)
    )  # fmt: skip
    dataset = Dataset(
        name="D", labels={"lv_cavity": 1}, file_ending=".nii.gz",
        training=tuple(Case(case=c.case, patient=c.patient, image=c.case) for c in cases),
    )  # fmt: skip
    return combine_fingerprints(dataset, cases)


@pytest.fixture(scope="module")
def ground() -> Ground:
    from autolv.planning.planner import make_plan

    fingerprint = _fingerprint()
    planned = make_plan(fingerprint, COMPUTE).configurations["2d_unet"]
    return Ground(planned=planned, fingerprint=fingerprint, compute=COMPUTE)


def study_of(ground: Ground, *, minutes: float = 120.0, trials: int | None = 8, seed: int = 0) -> Study:
    return Study(
        dataset="D", configuration=ground.planned, space=search_space(ground, ["dice_ce"]),
        search_folds=(1, 2), held_out_folds=(0, 3, 4),
        schedule=make_schedule(minutes, searched=2, held_out=3, planned_minutes=12.0, trials=trials),
        time_budget_minutes=minutes, trials_asked=trials, seed=seed, plan_hash="p", splits_hash="s", data_hash="d",
    )  # fmt: skip


def evaluation(fold: int, dice: float, spread: float = 0.0) -> Evaluation:
    """Ten patients of a fold with a mean Dice of ``dice``, the patients ``spread`` apart."""
    cases = []
    for number, shift in enumerate(np.linspace(-1.0, 1.0, 10)):
        nothing = math.nan
        metrics = StructureMetrics(
            dice=dice + spread * float(shift), iou=nothing, hausdorff_mm=nothing, hd95_mm=nothing, assd_mm=nothing,
            surface_dice={f"{t}": nothing for t in (1, 2, 3)}, volume_ml=1.0, reference_volume_ml=1.0, slices_missed=0,
            slices_invented=0, empty="", level_dice={},
        )  # fmt: skip
        name = f"f{fold}p{number}"
        cases.append(CaseMetrics(case=name, patient=name, phase=None, group=None, structures={"lv_cavity": metrics}))
    return summarise(tuple(cases))


class Bench:
    """A stand-in for training: a fold takes its minutes on a clock of its own, and scores by its learning rate."""

    def __init__(self, folder: Path, study: Study, *, slow: float = 1.0) -> None:
        self.now_s, self.slow, self.asked = 0.0, slow, False
        self.made: list[tuple[str, int]] = []
        self.folder, self.study = folder, study
        self.stop_at: int | None = None
        self.beside_s = 0.0  # of validation, beyond the minutes of a fold
        self.fails: dict[str, str] = {}

    @property
    def clock(self) -> Clock:
        return Clock(self.folder / "spent.json", self.now_s, now=lambda: self.now_s)

    @property
    def trials(self) -> Trials:
        space, schedule = self.study.space, self.study.schedule
        return Trials(
            self.folder / "trials.jsonl", space, planned_point(self.study.configuration), count=schedule.trials,
            seed=self.study.seed,
        )  # fmt: skip

    def score(self, configuration: Configuration) -> float:
        return 0.9 - 0.1 * abs(math.log10(configuration.training.learning_rate / 0.004))

    def __call__(
        self, configuration: Configuration, run: str, fold: int, minutes: float, stop: Callable[[], bool]
    ) -> Evaluation:
        for _ in range(10):
            self.now_s += 6.0 * minutes * self.slow  # a tenth of its minutes
            if self.stop_at is not None and len(self.made) == self.stop_at:
                self.asked, self.stop_at = True, None
            if stop():
                raise Interrupted("stopped")
        self.now_s += self.beside_s
        self.made.append((run, fold))
        if run in self.fails:
            raise TrainingError(self.fails[run])
        return evaluation(fold, self.score(configuration) + 0.001 * fold)

    def run(self, ground: Ground) -> tuple[Trial, ...]:
        trials = self.trials
        run_trials(self.study, ground, trials, self, self.clock, stop_asked=lambda: self.asked, on_trial=lambda _: None)
        return trials.all


def test_trials_are_made_on_the_search_s_folds_alone_and_scored_by_their_mean(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground))
    made = bench.run(ground)
    assert len(made) == 8
    assert {fold for _, fold in bench.made} == {1, 2}
    assert bench.made[:2] == [("trial_001", 1), ("trial_001", 2)]
    assert made[0].point["learning_rate"] == ground.planned.training.learning_rate
    assert made[0].dice == pytest.approx(bench.score(ground.planned) + 0.0015)
    assert made[0].fold_dice == pytest.approx({1: made[0].dice - 0.0005, 2: made[0].dice + 0.0005})
    assert bench.now_s <= 60 * bench.study.schedule.search_minutes
    stopped = [trial for trial in made if trial.state == "stopped early"]
    assert all(list(trial.fold_dice) == [1] for trial in stopped)


def test_a_trial_that_is_stopped_early_leaves_its_second_fold(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground, trials=16, minutes=240.0))
    made = bench.run(ground)
    stopped = [trial for trial in made if trial.state == "stopped early"]
    assert stopped, "of sixteen trials some are below the median"
    for trial in stopped:
        assert (f"trial_{trial.number:03d}", 2) not in bench.made
        assert "median" in trial.note and math.isnan(trial.dice)


def test_time_bounds_the_trials_whatever_they_take(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground), slow=3.0)
    made = bench.run(ground)
    limit_s = 60 * bench.study.schedule.search_minutes
    assert 2 <= len(made) < 8
    assert bench.now_s <= limit_s
    assert all(trial.state in ("finished", "stopped early") for trial in made), "none is begun that cannot end"


def test_where_validation_takes_long_fewer_trials_are_made_and_the_comparison_has_its_time(
    ground: Ground, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, study_of(ground))
    schedule = bench.study.schedule
    bench.beside_s = 60.0 * schedule.trial_minutes  # as long again as the training; a third of it is foreseen
    made = bench.run(ground)
    assert 2 <= len(made) < 8
    assert bench.now_s < 60 * schedule.search_minutes
    winner = ground.planned.model_copy(update={"name": "2d_unet_tuned"})
    verdict = compare(bench.study, winner, bench, bench.clock, stop_asked=lambda: False)
    assert verdict is not None and verdict.folds == (0, 3, 4)
    assert bench.now_s <= 60 * bench.study.time_budget_minutes


def test_after_a_slow_first_trial_there_is_another_before_time_is_set_aside(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground))
    bench.beside_s = 4 * 60.0 * bench.study.schedule.trial_minutes  # a trial takes a little less than half of the time
    made = bench.run(ground)
    assert [trial.state for trial in made] == ["finished", "finished"]
    assert bench.now_s <= 60 * bench.study.schedule.search_minutes


def test_a_trial_that_takes_longer_than_the_others_is_cut_at_the_limit(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground))
    limit_s = 60 * bench.study.schedule.search_minutes

    def slower(
        configuration: Configuration, run: str, fold: int, minutes: float, stop: Callable[[], bool]
    ) -> Evaluation:
        bench.slow = 1.0 if run == "trial_001" else 20.0
        return bench(configuration, run, fold, minutes, stop)

    trials = bench.trials
    run_trials(bench.study, ground, trials, slower, bench.clock, stop_asked=lambda: False, on_trial=lambda _: None)
    assert [(t.state, t.note) for t in trials.all] == [("finished", ""), ("failed", "the time was spent")]
    assert bench.now_s <= limit_s + 2 * 60.0 * bench.study.schedule.trial_minutes  # one step beyond


def test_where_not_even_the_planned_one_ends_in_time_one_is_told(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground), slow=50.0)
    with pytest.raises(TrainingError, match="2d_unet itself") as caught:
        bench.run(ground)
    assert "more time" in caught.value.remedy


@pytest.mark.parametrize("stop_at", [0, 1, 4, 7])
def test_a_search_that_was_stopped_goes_on_with_the_trial_under_way_and_its_time_counts(
    ground: Ground, tmp_path: Path, stop_at: int
) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "rough").mkdir()
    calm = Bench(tmp_path / "calm", study_of(ground))
    expected = calm.run(ground)
    bench = Bench(tmp_path / "rough", study_of(ground))
    bench.stop_at = stop_at
    with pytest.raises(Interrupted):
        bench.run(ground)
    spent_s = bench.clock.seconds
    assert bench.trials.all[-1].state == "under way"
    again = Bench(tmp_path / "rough", bench.study)
    assert again.clock.seconds == pytest.approx(spent_s, abs=1e-3)
    assert spent_s > bench.now_s - 60.0 * bench.study.schedule.trial_minutes, "what was spent is kept"
    made = again.run(ground)
    assert [t.point for t in made] == [t.point for t in expected]
    assert [t.dice for t in made] == pytest.approx([t.dice for t in expected], nan_ok=True)


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground))
    bench.fails = {"trial_003": "the loss became nan."}
    made = bench.run(ground)
    assert (made[2].state, made[2].note) == ("failed", "the loss became nan.")
    assert len(made) == 8
    bench = Bench(tmp_path / "anew", study_of(ground))
    bench.folder.mkdir()
    bench.fails = {"trial_001": "the loss became nan."}
    with pytest.raises(TrainingError, match="became nan"):
        bench.run(ground)


def test_the_comparison_sees_only_folds_that_the_search_has_not(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground))
    winner = ground.planned.model_copy(
        update={
            "name": "2d_unet_tuned",
            "training": ground.planned.training.model_copy(update={"learning_rate": 0.004}),
        }
    )
    verdict = compare(bench.study, winner, bench, bench.clock, stop_asked=lambda: False)
    assert bench.made == [(COMPARISON, fold) for fold in (0, 0, 3, 3, 4, 4)]
    assert verdict is not None and verdict.better and verdict.folds == (0, 3, 4)
    assert (verdict.cases, verdict.patients) == (30, 30)
    assert verdict.difference == pytest.approx(bench.score(winner) - bench.score(ground.planned))
    assert verdict.minutes_per_fold == bench.study.schedule.confirm_minutes


def test_a_comparison_without_time_is_of_the_folds_that_both_have_or_of_none(ground: Ground, tmp_path: Path) -> None:
    study = study_of(ground)
    winner = ground.planned.model_copy(update={"name": "2d_unet_tuned"})
    for slow, folds in ((10.0, (0,)), (50.0, None)):
        bench = Bench(tmp_path / f"{slow}", study, slow=slow)
        bench.folder.mkdir()
        verdict = compare(study, winner, bench, bench.clock, stop_asked=lambda: False)
        assert (None if verdict is None else verdict.folds) == folds
    stopped = Bench(tmp_path / "stopped", study)
    stopped.folder.mkdir()
    with pytest.raises(Interrupted):
        compare(study, winner, stopped, stopped.clock, stop_asked=lambda: True)


@pytest.mark.parametrize(
    ("gain", "spread", "words"),
    [
        (0.01, 0.0, "is better than"),
        (-0.01, 0.0, "is worse than"),
        (0.01, 0.05, "cannot be called better than"),  # patients differ by five times the gain, in opposite senses
        (0.0, 0.0, "cannot be called better than"),
    ],
)
def test_better_is_said_only_where_the_interval_lies_above_zero(gain: float, spread: float, words: str) -> None:
    folds = {fold: (evaluation(fold, 0.8), evaluation(fold, 0.8 + gain, spread)) for fold in (0, 3)}
    verdict = verdict_of(folds, 5.0, seed=0)
    said = verdict_in_words("tuned", "planned", verdict)
    assert f"tuned {words} planned" in said and f"difference {gain:+.4f}" in said
    assert verdict.better == (words == "is better than") and verdict.worse == (words == "is worse than")
    assert "20 cases of 20 patients that the search has not seen (folds 0, 3, 5 min each)" in said


def test_one_patient_tells_nothing() -> None:
    one = evaluation(0, 0.8)
    first = summarise(one.cases[:1])
    other = summarise(evaluation(0, 0.9).cases[:1])
    verdict = verdict_of({0: (first, other)}, 5.0, seed=0)
    assert not verdict.better and not verdict.worse
    said = verdict_in_words("tuned", "planned", verdict)
    assert "cannot be called better" in said and "interval" not in said


def test_the_history_is_a_table_and_a_picture(ground: Ground, tmp_path: Path) -> None:
    bench = Bench(tmp_path, study_of(ground, trials=16, minutes=240.0))
    bench.fails = {"trial_004": "the loss became nan."}
    made = bench.run(ground)
    write_trials(made, bench.study, tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(1, 17))
    assert float(rows[0]["dice"]) == pytest.approx(made[0].dice, abs=1e-6)
    assert rows[3]["dice"] == "" and rows[3]["state"] == "failed" and rows[3]["note"] == "the loss became nan."
    assert (
        rows[0]["patch"] == str(ground.planned.network.patch[-1])
        and rows[0]["augmentation"] == ground.planned.training.augmentation
    )
    search_figure(made, bench.study, tmp_path / "trials.png")
    assert (tmp_path / "trials.png").read_bytes()[:4] == b"\x89PNG"
    tuning = Tuning(
        study=bench.study, place="tune/2d_unet/study_1", trials=made, best=6, winner=None, verdict=None,
        conclusion="No trial scored above 2d_unet itself.", minutes=1.0,
    )  # fmt: skip
    text = search_table(tuning)
    assert max(len(line) for line in (text + "\n" + space_table(bench.study)).splitlines()) <= 110
    assert "* 6" in text and "No trial scored above" in text and "Trial 4 failed: the loss became nan." in text
    assert Tuning.model_validate_json(tuning.to_json()).trials[0] == made[0]

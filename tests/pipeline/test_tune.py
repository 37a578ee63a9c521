"""``autolv_tune`` on planned phantoms: what it refuses, what it leaves behind, and that it goes on after a kill."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autolv
from autolv.cli.find_best_config import main as find_main
from autolv.cli.train import main as train_main
from autolv.cli.tune import main as tune_main
from autolv.core.workspace import Workspace
from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise
from autolv.imageio.volumes import read_labels
from autolv.pipeline import tune as recipe
from autolv.pipeline.context import open_dataset
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig, Evaluation, RunRecord
from autolv.schema.splits import Splits
from autolv.schema.tuning import Spent, Tuning

_TUNE = ["-d", "D", "-c", "2d_unet", "--device", "cpu"]


@pytest.fixture
def root(planned: Path, tmp_path: Path) -> Path:
    """A planned workspace that a test may spoil."""
    shutil.copytree(planned, tmp_path / "w")
    return tmp_path / "w"


class FakeTrainer:
    """Stands in for training: predicts the labels without every n-th voxel, fewer of them the higher the rate."""

    calls = 0
    interrupt_at: tuple[str, int] | None = None
    rate_of = staticmethod(lambda configuration: configuration.training.learning_rate)

    def __init__(self, *, workspace: Workspace, splits: Splits, study: Any, **_: object) -> None:
        self.workspace, self.splits, self.study = workspace, splits, study

    def __call__(
        self, configuration: Configuration, run: str, fold: int, minutes: float, stop: Callable[[], bool]
    ) -> Evaluation:
        if type(self).interrupt_at == (run, fold):
            type(self).interrupt_at = None
            raise KeyboardInterrupt
        type(self).calls += 1
        every = round(2 + 1000 * self.rate_of(configuration))
        return summarise(tuple(self._cases(self.splits.folds[fold].validation, every)))

    def _cases(self, patients: tuple[str, ...], every: int) -> Any:
        folder, dataset = open_dataset(Workspace(self.workspace.root), "D")
        for case in dataset.training:
            if case.patient in patients:
                volume = read_labels(folder / str(case.label))
                labels = dataset.schema_.to_internal(volume.array)
                worse = labels.copy()
                worse.ravel()[::every] = 0
                yield compare_case(
                    worse, labels, volume.spacing_mm, dataset.schema_.structures,
                    case=case.case, patient=case.patient, phase=case.phase, group=case.group,
                )  # fmt: skip

    def discard(self, run: str) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeTrainer]:
    class Fake(FakeTrainer):
        pass

    monkeypatch.setattr(recipe, "FoldTrainer", Fake)
    return Fake


def _refused(arguments: list[str], root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert tune_main([*arguments, "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.count("error: ") == 1 and "what to do: " in said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    assert not (root / "results").exists()


def test_what_cannot_be_searched_is_refused_in_a_sentence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused([*_TUNE[:2], "-c", "2d_unte", "--time-budget", "1h"], root, capsys, "'2d_unte'", "did you mean '2d_unet'")
    _refused([*_TUNE, "--time-budget", "10s"], root, capsys, "too short", "--time-budget 1m")
    _refused([*_TUNE, "--time-budget", "10m", "--trials", "1000"], root, capsys, "too short for 1000 trials")
    _refused([*_TUNE, "--time-budget", "1h", "--trials", "1"], root, capsys, "one trial")
    _refused(["-d", "E", "--time-budget", "1h"], root, capsys, "'E'", "D")
    _refused([*_TUNE[:4], "--device", "cuda:77", "--time-budget", "1h"], root, capsys, "'cuda'")
    path = Workspace.at(root).splits_file("D")
    splits = read_record(Splits, path)
    everyone = (*splits.folds[0].train, *splits.folds[0].validation)
    one = splits.folds[0].model_copy(update={"train": everyone[:1], "validation": everyone[1:]})
    write_record(splits.model_copy(update={"by": "group", "folds": (one,)}), path)
    _refused([*_TUNE, "--time-budget", "1h"], root, capsys, "one fold", "--folds 5 --overwrite")


def test_the_winner_joins_the_plan_with_its_reasons_and_its_verdict(
    root: Path, fake: type[FakeTrainer], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Workspace.at(root).plan_file("D")
    before = read_record(Plan, path)
    assert tune_main([*_TUNE, "--time-budget", "1h", "--trials", "6", "--root", str(root)]) == 0
    told = capsys.readouterr()
    plan = read_record(Plan, path)
    assert plan.training_hash() == before.training_hash()
    assert {name: plan.configurations[name] for name in before.configurations} == before.configurations
    found, planned = plan.configurations["2d_unet_tuned"], before.configurations["2d_unet"]
    assert found.training.learning_rate > planned.training.learning_rate
    origin = plan.tuned["2d_unet_tuned"]
    assert (origin.began_with, origin.study) == ("2d_unet", "tune/2d_unet/study_1")
    reason = found.reasons["training.learning_rate"]
    assert f"(tune/2d_unet/study_1, trial {origin.trial})" in reason
    assert f"Dice {origin.dice:.4f} on fold 1, where 2d_unet had {origin.dice_before:.4f}" in reason
    assert f"2d_unet has {planned.training.learning_rate:.3g}" in reason
    place = root / "results" / "D" / "tune" / "2d_unet" / "study_1"
    tuning = read_record(Tuning, place / "result.json")
    assert tuning.winner == "2d_unet_tuned" and tuning.best == origin.trial and len(tuning.trials) == 6
    assert tuning.verdict is not None and tuning.verdict.folds == (0,)
    assert origin.verdict == tuning.conclusion and tuning.conclusion in " ".join(told.out.split())
    assert tuning.verdict.difference > 0
    assert {"trials.csv", "trials.png", "trials.jsonl", "study.json", "spent.json"} <= {p.name for p in place.iterdir()}
    following = "2d_unet_tuned" if tuning.verdict.better else "2d_unet"
    assert f"next: autolv_train -d D -c {following} -f all" in told.err


def test_the_winner_trains_in_a_run_that_was_begun_before_and_is_chosen_from_like_any_other(
    root: Path, fake: type[FakeTrainer]
) -> None:
    at = ["--root", str(root), "--quiet"]
    train = ["-d", "D", "--epochs", "1", "--precision", "float32", "--device", "cpu", "-f", "0", *at]
    assert train_main([*train, "-c", "2d_unet"]) == 0
    assert tune_main([*_TUNE, "--time-budget", "1h", "--trials", "4", *at]) == 0
    assert train_main([*train, "-c", "2d_unet_tuned"]) == 0
    assert find_main(["-d", "D", *at]) == 0
    best = read_record(BestConfig, Workspace.at(root).model("D", "default") / "best_config.json")
    assert {name for c in best.candidates for name in c.configurations} == {"2d_unet", "2d_unet_tuned"}


def test_the_same_search_is_not_made_twice_and_another_makes_another_name(
    root: Path, fake: type[FakeTrainer], capsys: pytest.CaptureFixture[str]
) -> None:
    search = [*_TUNE, "--time-budget", "1h", "--trials", "5", "--root", str(root)]
    assert tune_main([*search, "--quiet"]) == 0
    first = capsys.readouterr().out
    written = Workspace.at(root).plan_file("D").read_bytes()
    assert tune_main([*search, "--quiet"]) == 0
    assert capsys.readouterr().out == first
    assert Workspace.at(root).plan_file("D").read_bytes() == written
    assert tune_main([*search, "--seed", "3", "--quiet"]) == 0
    assert tune_main(["-d", "D", "-c", "2d_unet_tuned", "--time-budget", "1h", "--trials", "9", "--device", "cpu",
                      "--root", str(root), "--quiet"]) == 0  # fmt: skip
    plan = read_record(Plan, Workspace.at(root).plan_file("D"))
    assert [(name, t.study) for name, t in plan.tuned.items()] == [
        ("2d_unet_tuned", "tune/2d_unet/study_1"),
        ("2d_unet_tuned2", "tune/2d_unet/study_2"),
        ("2d_unet_tuned3", "tune/2d_unet_tuned/study_1"),
    ]


def test_where_nothing_beats_the_planned_one_the_plan_stays(
    root: Path, fake: type[FakeTrainer], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Workspace.at(root).plan_file("D")
    before = path.read_bytes()
    fake.rate_of = staticmethod(lambda _: 0.004)  # type: ignore[assignment]
    tuning = autolv.tune("D", configuration="2d_unet", time_budget_minutes=60.0, trials=4, root=root, device="cpu")
    assert tuning.winner is None and tuning.verdict is None and tuning.best == 1
    assert "stays as it was planned" in tuning.conclusion
    assert path.read_bytes() == before


def test_where_the_time_is_enough_for_the_planned_one_alone_one_is_told(
    root: Path, fake: type[FakeTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(recipe.Clock):
        @property
        def seconds(self) -> float:
            return super().seconds + 2000.0 * fake.calls  # of an hour

    monkeypatch.setattr(recipe, "Clock", Slow)
    tuning = autolv.tune("D", configuration="2d_unet", time_budget_minutes=60.0, trials=4, root=root, device="cpu")
    assert len(tuning.trials) == 1 and tuning.winner is None
    assert "nothing was searched" in tuning.conclusion and "--time-budget" in tuning.conclusion


@pytest.mark.parametrize("stop_at", [("trial_004", 1), ("comparison", 0)])
def test_a_search_that_was_interrupted_ends_like_one_that_was_not(
    root: Path, tmp_path: Path, fake: type[FakeTrainer], stop_at: tuple[str, int]
) -> None:
    calm = tmp_path / "calm"
    shutil.copytree(root, calm)
    search: dict[str, Any] = {"configuration": "2d_unet", "time_budget_minutes": 60.0, "trials": 6, "device": "cpu"}
    expected = autolv.tune("D", root=calm, **search)
    fake.interrupt_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        autolv.tune("D", root=root, **search)
    spent = Workspace.at(root).studies("D", "2d_unet") / "study_1" / "spent.json"
    spent_s = read_record(Spent, spent).seconds
    ended = autolv.tune("D", root=root, **search)
    assert read_record(Spent, spent).seconds > spent_s > 0
    assert [t.point for t in ended.trials] == [t.point for t in expected.trials]
    assert [t.dice for t in ended.trials] == [t.dice for t in expected.trials]
    assert (ended.winner, ended.verdict, ended.conclusion) == (expected.winner, expected.verdict, expected.conclusion)
    plans = [read_record(Plan, Workspace.at(place).plan_file("D")) for place in (root, calm)]
    assert plans[0] == plans[1]


def test_an_unfinished_search_is_not_lost_to_one_with_other_choices(
    root: Path, fake: type[FakeTrainer], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.interrupt_at = ("trial_002", 1)
    at = ["--root", str(root), "--quiet"]
    assert tune_main([*_TUNE, "--time-budget", "1h", "--trials", "4", *at]) == 130
    capsys.readouterr()
    assert tune_main([*_TUNE, "--time-budget", "2h", "--trials", "4", *at]) == 2
    said = capsys.readouterr().err
    assert "--time-budget in minutes (60.0, now 120.0)" in said and "study_1" in said and "delete that folder" in said
    assert tune_main([*_TUNE, "--time-budget", "1h", "--trials", "4", *at]) == 0


def _start(root: Path, log: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    code = f"from autolv.cli.tune import main; raise SystemExit(main({[*arguments, '--root', str(root)]!r}))"
    with log.open("wb") as lines:
        return subprocess.Popen([sys.executable, "-c", code], stdout=lines, stderr=lines)


def _kill_at(process: subprocess.Popen[bytes], log: Path, pattern: str, number: int) -> str:
    """Send the signal ``number`` when a line with ``pattern`` has come, and return what was logged."""
    begin = time.monotonic()
    try:
        while not re.search(pattern, log.read_text(encoding="utf-8", errors="replace")):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() - begin < 300, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(timeout=120)
    finally:
        process.kill()
    return log.read_text(encoding="utf-8", errors="replace")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_real_search_is_killed_stopped_and_goes_on_to_its_end_in_time(root: Path, tmp_path: Path) -> None:
    search = [*_TUNE, "--time-budget", "150s", "--trials", "3"]
    log = tmp_path / "log.txt"
    place = Workspace.at(root).studies("D", "2d_unet") / "study_1"
    said = _kill_at(_start(root, log, search), log, r"trial 2 of 3(.|\n)*s per iteration", signal.SIGKILL)
    assert "trial 1 finished" in said
    spent_s = read_record(Spent, place / "spent.json").seconds
    assert spent_s > 5.0
    said = _kill_at(_start(root, log, search), log, r"trial 2 of 3", signal.SIGTERM)
    assert "trial 2 of 3" in said and "trial 1 of 3" not in said, "what is finished is not made again"
    assert "Traceback" not in said and "stopped as asked" in said
    assert read_record(Spent, place / "spent.json").seconds > spent_s

    tuning = autolv.tune(
        "D", configuration="2d_unet", time_budget_minutes=2.5, trials=3, root=root, device="cpu"
    )  # fmt: skip
    assert tuning.minutes < 2.5 + 0.7  # a figure, a save and a step beyond
    assert tuning.trials[0].state == "finished" and 0.0 < tuning.trials[0].dice < 1.0
    for trial in tuning.trials:
        for fold in trial.fold_dice:
            kept = place / f"trial_{trial.number:03d}" / "2d_unet" / f"fold_{fold}"
            assert read_record(Evaluation, kept / "evaluation.json").mean_dice == trial.fold_dice[fold]
            record = read_record(RunRecord, kept / "run.json")
            assert record.choices.time_budget_minutes == tuning.study.schedule.trial_minutes
            assert not (kept / "weights.safetensors").exists() and not (kept / "validation").exists()

"""A configuration that is added to a plan leaves the runs begun before as they are, and is kept by planning anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.schema.plan import Configuration, Plan, Tuned
from autolv.schema.record import read_record, write_record

_TRAIN = ["-d", "D", "--epochs", "1", "--precision", "float32", "--device", "cpu"]


@pytest.fixture
def root(planned: Path, tmp_path: Path) -> Path:
    """A planned workspace that a test may spoil."""
    shutil.copytree(planned, tmp_path / "w")
    return tmp_path / "w"


def _changed(configuration: Configuration, rate: float) -> Configuration:
    training = configuration.training.model_copy(update={"learning_rate": rate})
    return configuration.model_copy(update={"name": "2d_unet_tuned", "training": training})


def _add(root: Path, rate: float) -> None:
    path = Workspace.at(root).plan_file("D")
    plan = read_record(Plan, path)
    origin = Tuned(began_with="2d_unet", study="tune/2d_unet/study_1", trial=1, dice=0.9, dice_before=0.8)
    more = {**plan.configurations, "2d_unet_tuned": _changed(plan.configurations["2d_unet"], rate)}
    write_record(plan.model_copy(update={"configurations": more, "tuned": {"2d_unet_tuned": origin}}), path)


def test_a_run_begun_before_takes_the_new_configuration_until_its_numbers_change(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, "-c", "2d_unet", "-f", "0", *at]) == 0
    _add(root, 0.003)
    assert train_main([*_TRAIN, "-c", "2d_unet_tuned", "-f", "0", *at]) == 0
    capsys.readouterr()
    _add(root, 0.004)
    for fold in ("0", "1"):  # one that is there, and one beside it
        assert train_main([*_TRAIN, "-c", "2d_unet_tuned", "-f", fold, *at]) == 2
        said = capsys.readouterr().err
        assert "fold_0" in said and "other numbers" in said and "--run" in said
    assert train_main([*_TRAIN, "-c", "2d_unet_tuned", "-f", "0", "--overwrite", *at]) == 0


def test_planning_again_keeps_what_was_added(root: Path) -> None:
    at = ["--root", str(root), "--quiet"]
    path = Workspace.at(root).plan_file("D")
    _add(root, 0.003)
    for flags in ([], ["--device", "cpu", "--time-budget", "2m", "--overwrite"]):
        assert plan_main(["-d", "D", *flags, *at]) == 0
        plan = read_record(Plan, path)
        assert plan.configurations["2d_unet_tuned"].training.learning_rate == 0.003
        assert list(plan.tuned) == ["2d_unet_tuned"]
    assert plan.compute.time_budget_minutes == 2.0


def test_what_was_found_for_another_preprocessing_is_left_out_aloud(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at = ["--root", str(root), "--quiet"]
    path = Workspace.at(root).plan_file("D")
    _add(root, 0.003)
    plan = read_record(Plan, path)
    found = plan.configurations["2d_unet_tuned"]
    coarser = found.preprocessing.model_copy(update={"in_plane_spacing_mm": (9.0, 9.0)})
    elsewhere = {**plan.configurations, "2d_unet_tuned": found.model_copy(update={"preprocessing": coarser})}
    write_record(plan.model_copy(update={"configurations": elsewhere}), path)
    assert plan_main(["-d", "D", "--overwrite", *at]) == 0
    assert "2d_unet_tuned" not in read_record(Plan, path).configurations
    assert any("2d_unet_tuned is left out" in message for message in caplog.messages)


def test_a_plan_that_cannot_be_read_is_replaced_when_asked(root: Path) -> None:
    path = Workspace.at(root).plan_file("D")
    path.write_text("{")
    assert plan_main(["-d", "D", "--overwrite", "--root", str(root), "--quiet"]) == 0
    assert read_record(Plan, path).dataset == "D"

"""A command that a message names does what the message says when it is pasted."""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig, RunChoices
from autolv.schema.splits import Splits

_CHOICES = ["--epochs", "1", "--seed", "3"]
_TRAIN = ["-d", "D", "--precision", "float32", "--device", "cpu"]


@pytest.fixture
def root(planned: Path, tmp_path: Path) -> Path:
    """A planned workspace that a test may spoil."""
    shutil.copytree(planned, tmp_path / "w")
    return tmp_path / "w"


def _pasted(line: str, command: str, main: Callable[[list[str]], int]) -> int:
    """Run the ``command`` that stands in ``line``."""
    words = shlex.split(line[line.index(command) :])
    assert words[0] == command
    return main([*words[1:], "--quiet"])


def test_a_missing_fold_is_trained_by_the_command_that_find_best_config_names(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", "0", "--run", "short", *at]) == 0
    with caplog.at_level(logging.INFO):
        assert find_main(["-d", "D", "--run", "short", "--root", str(root)]) == 0
    missing = [message for message in caplog.messages if message.startswith("missing: ")]
    assert len(missing) == 1 and "--epochs 1" in missing[0] and "--seed 3" in missing[0] and "--run short" in missing[0]
    assert _pasted(missing[0], "autolv_train", train_main) == 0
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert find_main(["-d", "D", "--run", "short", "--root", str(root)]) == 0
    assert not [message for message in caplog.messages if message.startswith("missing: ")]


def test_a_configuration_that_shares_no_fold_is_left_out_aloud(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", "0", *at]) == 0
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_vnet", "-f", "1", *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    best = read_record(BestConfig, Workspace.at(root).model("D", "default") / "best_config.json")
    assert best.chosen == "2d_unet" and best.folds_available == "2d_unet 1/2 folds"
    left_out = next(message for message in caplog.messages if "left out" in message)
    assert left_out.startswith("2d_vnet") and "-c 2d_vnet -f 0 --epochs 1 --seed 3" in left_out


def test_a_configuration_named_twice_counts_once(root: Path) -> None:
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", "0", *at]) == 0
    assert find_main(["-d", "D", "-c", "2d_unet", "2d_unet", *at]) == 0
    best = read_record(BestConfig, Workspace.at(root).model("D", "default") / "best_config.json")
    assert len(best.members) == 1
    assert (best.cases, best.patients) == (4, 2)


def test_an_unknown_configuration_is_not_sent_to_training(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_main(["-d", "D", "-c", "2d_unte", "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert "autolv_train" not in said and "did you mean '2d_unet'" in said


@pytest.mark.parametrize("wrong", [["-f", "9"], ["--device", "cuda:77"], ["--augment", "strong"]])
def test_a_training_that_is_refused_claims_no_run(root: Path, wrong: list[str]) -> None:
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, "--epochs", "1", *wrong, *at]) == 2
    assert not Workspace.at(root).run("D", "default").exists()


def test_a_training_without_its_cache_claims_no_run_and_names_what_mends_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(root / "preprocessed" / "D")
    assert train_main([*_TRAIN, "--epochs", "1", "--root", str(root)]) == 2
    assert not Workspace.at(root).run("D", "default").exists()
    said = capsys.readouterr().err
    before = Workspace.at(root).plan_file("D").read_bytes()
    # the plan was made with a time budget and for two folds: neither has to be said again
    assert _pasted(said.splitlines()[-1], "autolv_plan_and_preprocess", plan_main) == 0
    assert Workspace.at(root).plan_file("D").read_bytes() == before
    assert train_main([*_TRAIN, "--epochs", "1", "--root", str(root), "--quiet"]) == 0


def test_a_plan_edited_by_hand_is_kept_unless_another_is_asked_for(root: Path) -> None:
    path = Workspace.at(root).plan_file("D")
    plan = read_record(Plan, path)
    unet = plan.configurations["2d_unet"]
    mine = unet.model_copy(update={"training": unet.training.model_copy(update={"learning_rate": 0.123})})
    write_record(plan.model_copy(update={"configurations": {**plan.configurations, "2d_unet": mine}}), path)
    at = ["--root", str(root), "--quiet"]
    assert plan_main(["-d", "D", *at]) == 0
    assert read_record(Plan, path).configurations["2d_unet"].training.learning_rate == 0.123
    assert plan_main(["-d", "D", "--time-budget", "2m", *at]) == 2
    assert plan_main(["-d", "D", "--folds", "3", *at]) == 2
    assert read_record(Plan, path).configurations["2d_unet"].training.learning_rate == 0.123
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "2m", "--overwrite", *at]) == 0
    assert read_record(Plan, path).configurations["2d_unet"].training.learning_rate != 0.123


@pytest.mark.parametrize(
    ("choices", "flags"),
    [
        ({}, ""),
        ({"epochs": 3, "seed": 5}, " --epochs 3 --seed 5"),
        ({"time_budget_minutes": 12.0}, " --time-budget 12m"),
        ({"time_budget_minutes": 4.5, "augmentation": "vendor-robust"}, " --time-budget 270s --augment vendor-robust"),
    ],
)
def test_choices_in_flags(choices: dict[str, object], flags: str) -> None:
    nothing = RunChoices(plan_hash="0", splits_hash="1", seed=0, epochs=None, time_budget_minutes=None)
    assert nothing.model_copy(update=choices).flags == flags


def test_a_run_is_of_one_state_of_the_data(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label mended after some folds were trained would make a five-fold result that is not of one thing."""
    at = ["--root", str(root), "--quiet"]
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", "0", *at]) == 0
    label = sorted((root / "raw_data" / "D" / "labelsTr").iterdir())[0]
    stored = nibabel.load(label)
    array = np.asarray(stored.dataobj).copy()
    array[np.flatnonzero(array.any(axis=(1, 2)))[0]] = 0  # a column of voxels less
    nibabel.save(nibabel.Nifti1Image(array, stored.affine, stored.header), label)
    assert plan_main(["-d", "D", *at]) == 0
    for fold in ("0", "1"):
        assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", fold, "--root", str(root)]) == 2
        assert "images or labels" in capsys.readouterr().err
    assert train_main([*_TRAIN, *_CHOICES, "-c", "2d_unet", "-f", "1", "--run", "mended", *at]) == 0


def test_twins_apart_are_not_trained(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace.at(root)
    fingerprint = read_record(Fingerprint, workspace.fingerprint_file("D"))
    splits = read_record(Splits, workspace.splits_file("D"))
    apart = (splits.folds[0].train[0], splits.folds[0].validation[0])
    write_record(fingerprint.model_copy(update={"twins": (apart,)}), workspace.fingerprint_file("D"))
    assert train_main([*_TRAIN, "--epochs", "1", "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert apart[0] in said and apart[1] in said


def test_another_plan_keeps_the_splits_unless_others_are_asked_for(root: Path) -> None:
    at = ["--root", str(root), "--quiet"]
    path = Workspace.at(root).splits_file("D")
    before = path.read_bytes()
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "2m", "--overwrite", *at]) == 0
    assert path.read_bytes() == before
    assert plan_main(["-d", "D", "--folds", "3", "--overwrite", *at]) == 0
    assert len(read_record(Splits, path).folds) == 3


def test_without_a_length_a_fold_takes_the_time_that_it_was_planned_for(root: Path) -> None:
    at = ["--root", str(root), "--quiet"]
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "3s", "--overwrite", *at]) == 0
    assert train_main(["-d", "D", "-c", "2d_unet", "-f", "0", "--device", "cpu", *at]) == 0
    choices = read_record(RunChoices, Workspace.at(root).run("D", "default") / "choices.json")
    assert choices.epochs is None and choices.time_budget_minutes == pytest.approx(0.05)

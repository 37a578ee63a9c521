"""What one fold found out about steps, the next takes from the workspace, records, and tells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autolv.cli.doctor import main as doctor_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.pipeline.remember import keep, remembered
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord
from autolv.schema.steps import Way


def test_the_next_fold_begins_without_a_trial(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(planned, root)
    workspace = Workspace.at(root)
    train = ["-d", "D", "-c", "2d_unet", "--epochs", "1", "--device", "cpu", "--root", str(root)]

    assert train_main([*train, "-f", "0", "--quiet"]) == 0
    first = read_record(RunRecord, workspace.fold("D", "default", "2d_unet", 0) / "run.json").measured
    assert not first.remembered and first.trial
    assert first.step_gflops is not None and first.step_gflops > 0 and first.matmul_gflops["float32"] > 0
    assert first.data_share is not None and 0 < first.data_share < 1
    (trial,) = remembered(workspace.steps())
    assert trial.way == first.way and trial.seconds == first.trial

    slow = Way(precision="float32", channels_last=True)  # so slow that it cannot be found slower
    keep(workspace.steps(), trial.model_copy(update={"way": slow, "seconds": {slow.name: 600.0}}))
    capsys.readouterr()
    assert train_main([*train, "-f", "1"]) == 0
    assert "float32 channels_last, as remembered" in capsys.readouterr().err
    second = read_record(RunRecord, workspace.fold("D", "default", "2d_unet", 1) / "run.json").measured
    assert second.remembered and second.way == slow and second.trial == {slow.name: 600.0}

    assert doctor_main(["--root", str(root)]) == 0
    assert f"{slow.name}, 600.000 s per step" in capsys.readouterr().out

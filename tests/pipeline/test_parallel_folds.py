"""Several processes train the folds of one run at once: each takes one that nobody works on, and none treads on another."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autolv.core.errors import WorkspaceError
from autolv.core.workspace import Workspace
from autolv.pipeline.claim import claimed
from autolv.pipeline.train import train
from autolv.runtime.ranks import Alone
from autolv.schema.record import read_record
from autolv.schema.results import RunChoices, RunRecord

_TRAIN = ["-d", "D", "-c", "2d_unet", "--epochs", "1", "--precision", "float32", "--device", "cpu"]


def _start(root: Path, *flags: str) -> subprocess.Popen[str]:
    code = f"from autolv.cli.train import main; raise SystemExit(main({[*_TRAIN, '--root', str(root), *flags]!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip


def _sha(root: Path, run: str, fold: int) -> str:
    weights = Workspace.at(root).fold("D", run, "2d_unet", fold) / "weights.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.slow
def test_two_processes_share_the_folds_of_a_run(planned: Path, tmp_path: Path) -> None:
    root = tmp_path / "w"
    shutil.copytree(planned, root)
    both = [_start(root, "-f", "all", "--run", "both") for _ in range(2)]
    said = [process.communicate(timeout=280)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    alone = _start(root, "-f", "all", "--run", "alone")
    alone.communicate(timeout=280)
    trained = [text.count(" iterations, about ") for text in said]
    assert sum(trained) == 2, "each fold is trained once"
    for fold in (0, 1):
        record = read_record(RunRecord, Workspace.at(root).fold("D", "both", "2d_unet", fold) / "run.json")
        assert record.status == "validated"
        assert _sha(root, "both", fold) == _sha(root, "alone", fold)
    assert read_record(RunChoices, Workspace.at(root).run("D", "both") / "choices.json").epochs == 1


def test_a_fold_that_another_process_trains_is_left_to_it(
    planned: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "w"
    shutil.copytree(planned, root)
    places = [Workspace.at(root).fold("D", "default", "2d_unet", fold) for fold in (0, 1)]
    with claimed(places[0], Alone()), claimed(places[1], Alone()), caplog.at_level("INFO"):
        with pytest.raises(WorkspaceError, match="fold 1 .* is being trained by another process") as caught:
            train("D", configuration="2d_unet", fold=1, root=root, device="cpu", epochs=1)
        assert "-f" in caught.value.remedy
        assert train("D", configuration="2d_unet", fold="all", root=root, device="cpu", epochs=1) == ()
    assert sum("left to it" in message for message in caplog.messages) == 2
    assert not (places[0].parents[1] / "choices.json").exists()


def test_a_claim_ends_with_its_block(tmp_path: Path) -> None:
    with claimed(tmp_path / "fold", Alone()) as first, claimed(tmp_path / "fold", Alone()) as second:
        assert first and not second
    with claimed(tmp_path / "fold", Alone()) as third:
        assert third


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_claim_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from autolv.pipeline.claim import claimed; from autolv.runtime.ranks import Alone;"
        f"block = claimed(Path({str(tmp_path)!r}), Alone()); print(block.__enter__(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        with claimed(tmp_path, Alone()) as mine:
            assert not mine
        process.send_signal(signal.SIGKILL)
        process.wait()
        with claimed(tmp_path, Alone()) as mine:
            assert mine

"""SIGTERM saves and stops, in training and in validation; the same command then ends as if nothing had come."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autolv.core.errors import Interrupted
from autolv.core.workspace import Workspace
from autolv.pipeline.interrupt import stop_if, stop_signals

_TRAIN = ["-d", "D", "-c", "2d_unet", "-f", "all", "--epochs", "3", "--precision", "float32", "--device", "cpu"]


def _train(root: Path, *, stop_at: str | None = None) -> tuple[int, str]:
    """Train all folds in a process of its own; send SIGTERM when a line with ``stop_at`` comes; return status and log."""
    code = f"from autolv.cli.train import main; raise SystemExit(main({[*_TRAIN, '--root', str(root)]!r}))"
    lines = []
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if stop_at is not None and stop_at in line:
                process.send_signal(signal.SIGTERM)
                stop_at = None
    return process.returncode, "".join(lines)


def _hashes(root: Path) -> dict[str, str]:
    folder = Workspace.at(root).configuration("D", "default", "2d_unet")
    found = [*folder.rglob("weights.safetensors"), *folder.rglob("validation/*")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(found)}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_run_that_was_asked_to_stop_ends_like_one_that_was_not(planned: Path, tmp_path: Path) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    shutil.copytree(planned, calm)
    shutil.copytree(planned, rough)
    assert _train(calm)[0] == 0
    status, said = _train(rough, stop_at="epoch 1/3")
    assert status == 130 and "stopping at the next safe place" in said and "Traceback" not in said
    assert "stopped as asked after iteration" in said and "Run the same command again" in said
    assert not _hashes(rough)  # no weights yet: it did not go on to the end
    status, said = _train(rough)
    assert status == 0 and "resumed 2d_unet fold 0 at iteration" in said
    assert _hashes(calm) == _hashes(rough)


def test_between_two_pieces_a_stop_is_an_interruption() -> None:
    stop_if(lambda: False, "fold 1")
    with pytest.raises(Interrupted, match="before fold 1") as caught:
        stop_if(lambda: True, "fold 1")
    assert caught.value.exit_status == 130


def test_a_second_signal_interrupts_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), stop_signals() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked() and len(caplog.messages) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

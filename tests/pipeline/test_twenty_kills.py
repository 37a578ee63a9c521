"""``kill -9`` at twenty moments of a training, ten of them within a save: the end is bit-equal to that of a calm run."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from autolv.core.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
_EPOCHS = 160
_TRAIN = [
    "-d", "D", "-c", "2d_unet", "-f", "0", "--epochs", str(_EPOCHS), "--precision", "float32", "--device", "cpu",
]  # fmt: skip
_KILLED = -signal.SIGKILL if os.name == "posix" else 1
_SCRIPT = Path(__file__).with_name("pausing_train.py")
_IN_A_SAVE = ("before the old state gets its second name", "after it", "half written", "written", "renamed")
_EPOCH = re.compile(r"^epoch (\d+)/", re.MULTILINE)
_LIMIT_S = 300.0

Due = Callable[[str], bool]  # what was logged so far -> whether the moment of the kill has come


def _start(
    root: Path, log: Path, moment: str = "never", save: int = 0, *, extra: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_SCRIPT), moment, str(save), *_TRAIN, *extra, "--root", str(root)]
    with log.open("wb") as lines:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines)


def _run(root: Path, log: Path, *extra: str) -> float:
    """Train to the end and return after how many seconds the first epoch ended."""
    process = _start(root, log, extra=extra)
    begin = time.monotonic()
    try:
        while not _EPOCH.search(log.read_text(errors="replace")) and process.poll() is None:
            time.sleep(0.01)
        first = time.monotonic() - begin
        assert process.wait(timeout=_LIMIT_S) == 0, log.read_text()
    finally:
        process.kill()
    return first


def _kill(root: Path, log: Path, due: Due, moment: str = "never", save: int = 0) -> str:
    """Start a training, kill it when ``due``, make sure that it was not at its end, and return what it logged."""
    process = _start(root, log, moment, save, extra=("--log", "tensorboard"))
    begin = time.monotonic()
    try:
        while not due(log.read_text(errors="replace")):
            assert process.poll() is None, f"it ended before the kill:\n{log.read_text()}"
            assert time.monotonic() - begin < _LIMIT_S, f"the kill never was due:\n{log.read_text()}"
            time.sleep(0.005)
    finally:
        process.kill()
        status = process.wait()
    assert status == _KILLED, f"it ended before the kill:\n{log.read_text()}"
    return log.read_text()


def _while_it_starts(seconds: float) -> Due:
    """So many ``seconds`` after the start, at the latest when an epoch is trained (this start may be a faster one)."""
    at = time.monotonic() + seconds
    return lambda log: time.monotonic() >= at or bool(_EPOCH.search(log))


def _after_epochs(count: int, seconds: float) -> Due:
    """So many ``seconds`` after the process has trained ``count`` epochs."""
    seen: list[float] = []

    def due(log: str) -> bool:
        if not seen and len(_EPOCH.findall(log)) >= count:
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= seconds

    return due


def _halted(log: str) -> bool:
    return "halted" in log


def _place(root: Path) -> Path:
    return Workspace.at(root).fold("D", "default", "2d_unet", 0)


def _results(root: Path) -> dict[str, str]:
    """Return the hash of all that must not depend on how often a run was killed."""
    place = _place(root)
    files = [place / "weights.safetensors", place / "evaluation.json", *(place / "validation").iterdir()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _history(root: Path) -> list[dict[str, str]]:
    with (_place(root) / "history.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


def _logged_steps(root: Path) -> list[int]:
    """Return the epochs for which TensorBoard's files hold a loss, whether or not TensorBoard would show it."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = [e for file in _place(root).glob("events.*") for e in EventFileLoader(str(file)).Load()]
    return [event.step for event in events for value in event.summary.value if value.tag == "loss"]


def test_twenty_kills_change_nothing(planned_small: Path, tmp_path: Path) -> None:
    calm, rough, log = tmp_path / "calm", tmp_path / "rough", tmp_path / "log.txt"
    shutil.copytree(planned_small, calm)
    shutil.copytree(planned_small, rough)
    to_the_first_epoch = _run(calm, log)

    rng = random.Random(20)
    kills: list[Callable[[], str]] = []
    for _ in range(3):
        seconds = rng.uniform(0.0, to_the_first_epoch)
        kills.append(lambda seconds=seconds: _kill(rough, log, _while_it_starts(seconds)))
    for _ in range(5):  # while it trains
        count, seconds = rng.randint(1, 5), rng.uniform(0.0, 0.1)
        kills.append(lambda count=count, seconds=seconds: _kill(rough, log, _after_epochs(count, seconds)))
    for moment in _IN_A_SAVE:  # the first state that a process saves, and a later one
        for save in (1, rng.randint(2, 4)):
            kills.append(lambda moment=moment, save=save: _kill(rough, log, _halted, moment, save))
    rng.shuffle(kills)
    for moment in ("weights written", "validated"):
        kills.append(lambda moment=moment: _kill(rough, log, _halted, moment))
    assert len(kills) == 20

    logs = [kill() for kill in kills]
    _run(rough, log, "--log", "tensorboard")
    logs.append(log.read_text())
    assert not [text for text in logs if "Traceback" in text or "warning" in text]
    begun = [
        int(n) for text in logs for n in re.findall(r"^resumed 2d_unet fold 0 at iteration (\d+)", text, re.MULTILINE)
    ]
    assert len(begun) > 10 and begun == sorted(begun), "each goes on at least where the one before did"
    assert _results(rough) == _results(calm)
    assert len(_history(calm)) == _EPOCHS and _history(rough) == _history(calm)
    assert Counter(_logged_steps(rough)) == Counter(range(1, _EPOCHS + 1)), "each epoch once"
    assert not list(_place(calm).glob("events.*"))

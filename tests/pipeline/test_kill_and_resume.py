"""``kill -9`` at five random moments of preprocessing and training, then the same command: the end is bit-equal.

A moment is so many cases preprocessed or epochs trained and a random part of the next, never a time since the start: so
each kill comes in time, and finds something to go on from, on a slow machine as on a fast one.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autolv.pipeline.convert import convert

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
_EPOCHS = 10
_PLAN = ["plan_and_preprocess", "-d", "D", "--device", "cpu", "--workers", "1", "--time-budget", "1m"]
_TRAIN = [
    "train", "-d", "D", "-c", "2d_unet", "-f", "0", "--epochs", str(_EPOCHS), "--precision", "float32", "--device", "cpu",
]  # fmt: skip
_FOLD = Path("results", "D", "default", "2d_unet", "fold_0")
_KILLED = -signal.SIGKILL if os.name == "posix" else 1
_LOOK_EVERY_S = 0.005
_LIMIT_S = 300.0

Due = Callable[[str], float | None]  # what was logged so far -> in how many seconds to kill, None for not yet


def _start(command: list[str], root: Path, log: Path) -> subprocess.Popen[bytes]:
    name, *arguments = command
    code = f"from autolv.cli.{name} import main; raise SystemExit(main({[*arguments, '--root', str(root)]!r}))"
    if name == "train":  # the state is saved every 20 s, which these runs do not last: here after each epoch
        code = f"import autolv.pipeline.keeper as k; k._SAVE_EVERY_S = 0.0; {code}"
    with log.open("wb") as lines:
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=lines)


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _run(command: list[str], root: Path, log: Path) -> str:
    """Run ``command`` to its end and return what it logged."""
    process = _start(command, root, log)
    try:
        status = process.wait(timeout=_LIMIT_S)
    finally:
        process.kill()
    assert status == 0, _read(log)
    return _read(log)


def _run_killed(command: list[str], root: Path, log: Path, due: Due) -> str:
    """Run ``command``, kill it when ``due``, make sure that it was still running, and return what it logged."""
    process = _start(command, root, log)
    begin = time.monotonic()
    try:
        while (delay := due(_read(log))) is None:
            assert process.poll() is None, f"it ended before the kill was due:\n{_read(log)}"
            assert time.monotonic() - begin < _LIMIT_S, f"the kill never was due:\n{_read(log)}"
            time.sleep(_LOOK_EVERY_S)
        time.sleep(delay)
    finally:
        process.kill()
        status = process.wait()
    assert status == _KILLED, f"it ended before the kill:\n{_read(log)}"
    return _read(log)


def _after_cases(root: Path, count: int, seconds_per_case: float, rng: random.Random) -> Due:
    """During the case that follows ``count`` preprocessed ones."""
    return lambda _: rng.uniform(0.0, seconds_per_case) if len(_stored(root)) >= count else None


def _after_epochs(root: Path, count: int, rng: random.Random) -> Due:
    """During the epoch that follows epoch ``count`` (at least 2) or, where the run began beyond it, its first one."""

    def due(log: str) -> float | None:
        ended = re.findall(r"^epoch (\d+)/", log, re.MULTILINE)
        if not ended or int(ended[-1]) < count:
            return None
        return rng.uniform(0.0, float(_history(root)[-1]["seconds"]))  # as long as the last one took

    return due


def _stored(root: Path) -> list[Path]:
    return list((root / "preprocessed").rglob("*.safetensors"))


def _seconds_per_case(root: Path) -> float:
    times = [path.stat().st_mtime for path in _stored(root)]
    return (max(times) - min(times)) / (len(times) - 1)


def _history(root: Path) -> list[dict[str, str]]:
    with (root / _FOLD / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _without_seconds(history: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in history]


def _hashes(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def _preprocess_with_two_kills(root: Path, log: Path, cases: int, seconds_per_case: float, rng: random.Random) -> None:
    # two different counts, four cases at least before the last
    for count in sorted(rng.sample(range(1, cases - 3), 2)):
        _run_killed(_PLAN, root, log, _after_cases(root, count, seconds_per_case, rng))
        assert count <= len(_stored(root)) < cases, "the kill did not land in preprocessing"
    kept = len(_stored(root))
    found = [int(number) for number in re.findall(r"(\d+) were up to date", _run(_PLAN, root, log))]
    assert sum(found) == kept, "what was preprocessed before a kill is not preprocessed again"


def _train_with_three_kills(root: Path, log: Path, rng: random.Random) -> None:
    logs = []
    # after the second epoch at the earliest, when the first one's state is on disk, and with three to go at the latest
    for count in sorted(rng.sample(range(2, _EPOCHS - 2), 3)):
        logs.append(_run_killed(_TRAIN, root, log, _after_epochs(root, count, rng)))
        record = json.loads((root / _FOLD / "run.json").read_text(encoding="utf-8"))
        assert record["status"] == "training", "the kill did not land in training"
    logs.append(_run(_TRAIN, root, log))
    begun = [re.findall(r"^resumed 2d_unet fold 0 at iteration (\d+)", text, re.MULTILINE) for text in logs]
    assert [len(found) for found in begun] == [0, 1, 1, 1], "each run but the first goes on where a kill stopped it"
    iterations = [int(found[0]) for found in begun[1:]]
    assert 0 < iterations[0] <= iterations[1] <= iterations[2]


def test_five_kills_change_nothing(tmp_path: Path) -> None:
    calm, rough, log = tmp_path / "calm", tmp_path / "rough", tmp_path / "log.txt"
    calm.mkdir()
    convert("phantom", "-", dataset="D", root=calm, patients=6, frames=6, seed=3)
    shutil.copytree(calm, rough)
    _run(_PLAN, calm, log)
    _run(_TRAIN, calm, log)

    rng = random.Random(20)
    _preprocess_with_two_kills(rough, log, len(_stored(calm)), _seconds_per_case(calm), rng)
    _train_with_three_kills(rough, log, rng)

    for pattern, least in (
        ("preprocessed/**/*.safetensors", 12),
        ("results/**/weights.safetensors", 1),
        ("results/**/validation/*.nii.gz", 2),
        ("results/**/validation/*.npz", 2),
        ("results/**/evaluation.json", 1),
        ("plans/**/*.json", 4),
    ):
        ours, theirs = _hashes(calm, pattern), _hashes(rough, pattern)
        assert len(ours) >= least, pattern
        assert ours == theirs, pattern
    assert len(_history(calm)) == _EPOCHS
    assert _without_seconds(_history(rough)) == _without_seconds(_history(calm))
    leftovers = list(rough.rglob("*.tmp"))
    assert len(leftovers) <= 5, "a killed write may leave its temporary file, nothing else"

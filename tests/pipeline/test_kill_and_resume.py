"""``kill -9`` at random moments of preprocessing and training, then the same command: the end is bit-equal."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autolv.pipeline.convert import convert

pytestmark = pytest.mark.slow
_PLAN = ["plan_and_preprocess", "-d", "D", "--device", "cpu", "--workers", "1", "--time-budget", "1m"]
_TRAIN = ["train", "-d", "D", "-c", "2d_unet", "-f", "0", "--epochs", "6", "--precision", "float32", "--device", "cpu"]


def _start(command: list[str], root: Path) -> subprocess.Popen[bytes]:
    name, *arguments = command
    code = f"from autolv.cli.{name} import main; raise SystemExit(main({[*arguments, '--root', str(root)]!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _run(command: list[str], root: Path) -> float:
    begin = time.monotonic()
    process = _start(command, root)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - begin


def _run_killed(command: list[str], root: Path, after_s: list[float]) -> int:
    """Run ``command``, killing it after each of the given times; return how often it was still running then."""
    killed = 0
    for delay in after_s:
        process = _start(command, root)
        try:
            process.communicate(timeout=delay)
            assert process.returncode == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
    _run(command, root)
    return killed


def _hashes(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def test_five_kills_change_nothing(tmp_path: Path) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    calm.mkdir()
    convert("phantom", "-", dataset="D", root=calm, patients=6, frames=6, seed=3)
    shutil.copytree(calm, rough)
    plan_s = _run(_PLAN, calm)
    train_s = _run(_TRAIN, calm)

    rng = random.Random(20)
    killed = _run_killed(_PLAN, rough, [rng.uniform(0.4, 0.95) * plan_s for _ in range(2)])
    killed += _run_killed(_TRAIN, rough, [rng.uniform(0.3, 0.9) * train_s for _ in range(3)])
    assert killed >= 3, "too few kills came in time to prove anything"

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
    leftovers = list(rough.rglob("*.tmp"))
    assert len(leftovers) <= killed, "a killed write may leave its temporary file, nothing else"

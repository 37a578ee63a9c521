"""The command under torchrun itself: two processes train a fold as one does, stop together, and end together."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.schema.record import read_record
from autolv.schema.results import Evaluation, RunRecord

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted by /proc"),
]
_GUARD = str(Path(__file__).parents[1] / "no_network")
_TRAIN = ["-d", "D", "-c", "2d_unet", "--epochs", "3", "--precision", "float32", "--device", "cpu"]
# torchrun asks Python's sockets for its own place of meeting; what it starts is guarded as all tests are
_ONE = (
    f"import sys; sys.path.insert(0, {_GUARD!r}); sys.modules.pop('sitecustomize', None); import sitecustomize;"
    "from autolv.cli.train import main; raise SystemExit(main(sys.argv[1:]))"
)


def _torchrun(root: Path, *, once: Callable[[int, str], bool] = lambda _pid, _line: False) -> tuple[int, str]:
    """Train with two processes; return torchrun's status and what all said.

    ``once`` is called with torchrun's process number and each line, until it returns ``True``.
    """
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place != _GUARD]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", "--"]
    done, lines = False, []
    with subprocess.Popen(
        [sys.executable, *command, sys.executable, "-c", _ONE, *_TRAIN, "--root", str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            done = done or once(process.pid, line)
    return process.returncode, "".join(lines)


def _place(root: Path) -> Path:
    return Workspace.at(root).fold("D", "default", "2d_unet", 0)


def _losses(root: Path) -> list[float]:
    with (_place(root) / "history.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def _sha(root: Path) -> str:
    return hashlib.sha256((_place(root) / "weights.safetensors").read_bytes()).hexdigest()


def _descendants(pid: int) -> set[int]:
    """Return the processes that ``pid`` has started and those that these have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def test_two_processes_end_like_one_and_a_stop_changes_nothing(planned: Path, tmp_path: Path) -> None:
    alone, calm, rough = (tmp_path / name for name in ("alone", "calm", "rough"))
    for root in (alone, calm, rough):
        shutil.copytree(planned, root)
    assert train_main([*_TRAIN, "--root", str(alone), "--quiet"]) == 0
    status, said = _torchrun(calm)
    assert status == 0, said
    assert said.count("epoch 3/3") == 1, "one process speaks"
    record = read_record(RunRecord, _place(calm) / "run.json")
    assert (record.status, record.measured.processes) == ("validated", 2)
    # 30 steps of AdamW make 0.1 % of rounding, as they do of weights that are changed by 1e-7 at the start
    assert _losses(calm) == pytest.approx(_losses(alone), rel=5e-3)
    dice = [read_record(Evaluation, _place(root) / "evaluation.json").mean_dice for root in (alone, calm)]
    assert dice[0] == pytest.approx(dice[1], abs=0.02)

    def stop(torchrun: int, line: str) -> bool:
        if "epoch 1/3" in line:
            os.kill(torchrun, signal.SIGTERM)
        return "epoch 1/3" in line

    status, said = _torchrun(rough, once=stop)
    assert status != 0 and said.count("stopped as asked after iteration") == 2, said
    assert not (_place(rough) / "weights.safetensors").exists()
    status, said = _torchrun(rough)
    assert status == 0 and "resumed 2d_unet fold 0 at iteration" in said, said
    assert _sha(rough) == _sha(calm)


def test_when_one_process_is_killed_all_end_within_half_a_minute(planned: Path, tmp_path: Path) -> None:
    root = tmp_path / "w"
    shutil.copytree(planned, root)
    started: set[int] = set()
    begin = [0.0]

    def kill_the_second(torchrun: int, line: str) -> bool:
        if "epoch 1/3" not in line:
            return False
        started.update(_descendants(torchrun))
        (second,) = [pid for pid in started if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes()]
        begin[0] = time.monotonic()
        os.kill(second, signal.SIGKILL)
        return True

    status, said = _torchrun(root, once=kill_the_second)
    assert time.monotonic() - begin[0] < 30
    assert status != 0 and len(started) >= 2
    assert "error: another process of this training is no longer there" in said, said
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)

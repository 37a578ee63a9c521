"""Whole commands, measured from the outside: wall time, CPU time, and the peak memory of the process tree."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beside_nnunet.protocol import tree_mib
from beside_nnunet.report import Row, ratios

_LOOK_EVERY_S = 0.02
_TOLD = 2000  # characters of a log that are told when a command has failed


@dataclass(frozen=True, slots=True)
class Stage:
    """What a tool does in one stage: ``commands`` in turn, after ``clear`` has taken away what is to be made anew."""

    tool: str
    commands: Sequence[Sequence[str]]
    environment: Mapping[str, str]
    clear: Callable[[], None] = field(default=lambda: None)

    def used(self, log: Path) -> tuple[float, float]:
        """Return the seconds of wall and of CPU time (all processes) that the commands take; nothing looks at them."""
        self.clear()
        wall_s = cpu_s = 0.0
        for command in self.commands:
            before, begin = _children_s(), time.perf_counter()
            self._finish(self._start(command, log), log)
            wall_s += time.perf_counter() - begin
            cpu_s += _children_s() - before
        return wall_s, cpu_s

    def peak_mib(self, log: Path) -> float:
        """Return the most memory that a command's process tree has while it is looked at, 50 times a second."""
        self.clear()
        peak = 0.0
        for command in self.commands:
            process = self._start(command, log)
            while process.poll() is None:
                peak = max(peak, tree_mib(process.pid))
                time.sleep(_LOOK_EVERY_S)
            self._finish(process, log)
        return peak

    def _start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(self.environment), cwd=log.parent
            )

    def _finish(self, process: subprocess.Popen[bytes], log: Path) -> None:
        if process.wait() != 0:
            end = log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]
            raise RuntimeError(f"{self.tool}: {process.args!r} failed with status {process.returncode}:\n{end}")


def in_turn(stages: Sequence[Stage], rounds: int, log: Path, *, memory: bool = True) -> dict[str, dict[str, Any]]:
    """Return wall and CPU seconds of each round and the peak memory of each tool; the order turns with each round.

    A round that does not count goes first, so that files lie in the page cache and modules are compiled; with ``memory`` it
    is the one in which memory is looked at, which slows what is looked at.
    """
    found: dict[str, dict[str, Any]] = {stage.tool: {"wall_s": [], "cpu_s": []} for stage in stages}
    for stage in stages:
        if memory:
            found[stage.tool]["peak_mib"] = round(stage.peak_mib(log), 1)
        else:
            stage.used(log)
    for number in range(rounds):
        for stage in stages if number % 2 == 0 else reversed(stages):
            wall_s, cpu_s = stage.used(log)
            found[stage.tool]["wall_s"].append(round(wall_s, 3))
            found[stage.tool]["cpu_s"].append(round(cpu_s, 3))
            print(f"{stage.tool}: {wall_s:.2f} s wall, {cpu_s:.2f} s CPU", flush=True)
    return found


def rows(stage: str, found: Mapping[str, Mapping[str, Any]], peers: Sequence[str], ours: str = "autolv") -> list[Row]:
    """Return a table's rows: wall, CPU and memory of each of ``peers`` beside those of ``ours``, as ratios peer / ours."""
    table = []
    for peer in peers:
        for name, unit in (("wall_s", "s"), ("cpu_s", "s of CPU"), ("peak_mib", "MiB")):
            if name not in found[ours]:
                continue
            if name == "peak_mib":
                mine, other = found[ours][name], found[peer][name]
                table.append((stage, unit, f"{mine:.0f}", f"{other:.0f}", f"{other / mine:.1f}", peer))
                continue
            mine, other = found[ours][name], found[peer][name]
            middle = (f"{statistics.median(values):.2f}" for values in (mine, other))
            table.append((stage, unit, *middle, str(ratios(other, mine)), peer))
    return table


HEAD: Row = ("stage", "", "autolv", "other", "other / autolv", "the other")


def own_environment(root: Path) -> dict[str, str]:
    """Return the environment for autolv's commands as they lie in ``root``."""
    return {**_plain(), "PYTHONPATH": str(root)}


def peer_environment(python: Path, place: Path, here: Path) -> dict[str, str]:
    """Return the environment for nnU-Net's commands with its three data folders in ``place``, ``here`` for modules."""
    folders = {f"nnUNet_{kind}": str(place / kind) for kind in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**_plain(), **folders, "PYTHONPATH": str(here), "PATH": path, "MPLBACKEND": "agg"}


def _plain() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""An arm of a comparison: a process that is set up once and then does timed work when it is asked to.

Requests and answers are lines of JSON on the process's standard input and output. Both environments import this module, so
it needs the standard library alone. Linux only: memory is read from ``/proc``.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_WATCH_EVERY_S = 0.1
_IDLE_S = 1.0
_ENDING_S = 30.0
_TOLD = 2000  # characters of a log that are told when an arm has failed
_PATIENCE_S = 20.0


def serve(actions: Mapping[str, Callable[..., Any]]) -> None:
    """Answer requests until standard input ends; what anything else prints goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request = json.loads(line)
            answer = actions[request.pop("action")](**request)
            print(json.dumps(answer), file=answers, flush=True)


def peak_rss_mib() -> float:
    """Return the largest resident set that this process has had, by the kernel's own account, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measured(command: Sequence[str], environment: Mapping[str, str], log: Path) -> dict[str, float]:
    """Run a command to its end; return wall and CPU seconds and peak MiB of it and all that it starts.

    CPU is that of processes that were waited for; memory is looked at ten times a second. What the command prints goes to
    ``log``; raises ``RuntimeError`` with the log's end if it fails.
    """
    with log.open("w", encoding="utf-8") as file:
        begin, peak_mib = time.perf_counter(), 0.0
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=dict(environment))
        pid = 0
        while pid == 0:
            time.sleep(_WATCH_EVERY_S)
            peak_mib = max(peak_mib, sum(_pss_mib(one) for one in _tree(process.pid)))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall_s = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        end = log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}; {log} ends:\n{end}")
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak_mib}


class Arm:
    """The controlling side of an arm. ``peak_mib`` is the most memory that its process tree had while it was watched."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Start the process; what it prints goes to ``log``."""
        self.name = name
        self.peak_mib = 0.0
        self._log = log
        with log.open("w", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=dict(environment), text=True
            )

    def ask(self, action: str, *, watched: bool = False, **arguments: Any) -> Any:
        """Have ``action`` done and return its answer; raises ``RuntimeError`` with the log's end if the process ends.

        Only a ``watched`` request looks at memory, ten times a second: looking holds up the process that is looked at.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        try:
            print(json.dumps({"action": action, **arguments}), file=requests, flush=True)
            while not select.select([answers], [], [], _WATCH_EVERY_S if watched else _IDLE_S)[0]:
                self._look(watched=watched)
                if self._process.poll() is not None:
                    break
            self._look(watched=watched)
            line = answers.readline() if self._process.poll() is None else ""
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait(_ENDING_S)  # its answers end before its log does
            end = self._log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]
            raise RuntimeError(f"the process of {self.name} ended while asked to {action}; {self._log} ends:\n{end}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Arm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self, *, watched: bool) -> None:
        if watched:
            self.peak_mib = max(self.peak_mib, tree_mib(self._process.pid))


def tree_mib(root: int) -> float:
    """Return the memory of a process and all its descendants in MiB, shared pages counted once."""
    return sum(_pss_mib(pid) for pid in _tree(root))


def _tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss_mib(pid: int) -> float:
    """Return a process's memory in MiB, of pages that several processes share only its part; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024.0
    except OSError:
        pass
    return 0.0

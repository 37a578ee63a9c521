"""``autolv_train`` that halts at one moment of writing a file, so that a test can kill it there.

``python pausing_train.py MOMENT SAVE ARGUMENT ...``: MOMENT is one of those named below, or ``never``; the moments of a
save come at the so manieth one of the process. Where it halts it writes the line ``halted`` to stderr. The state is
saved after each epoch.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import autolv.pipeline.fold as fold
import autolv.pipeline.keeper as keeper
import autolv.pipeline.train as recipe
from autolv.cli.train import main
from autolv.schema.results import RunRecord
from autolv.training.state import TrainState


def _halt() -> None:
    print("halted", file=sys.stderr, flush=True)
    time.sleep(3600)


def _halt_in_save(moment: str, number: int) -> None:
    """Halt at ``moment`` of the process's so manieth save."""
    save, link, fsync, replace = TrainState.save, os.link, os.fsync, Path.replace
    saves = 0
    saving = False

    def here(name: str) -> bool:
        return saving and saves == number and name == moment

    def counted_save(self: TrainState, path: Path) -> None:
        nonlocal saves, saving
        saves, saving = saves + 1, True
        save(self, path)
        saving = False

    def halting_link(source: Path, target: Path) -> None:
        if here("before the old state gets its second name"):
            _halt()
        link(source, target)
        if here("after it"):
            _halt()

    def halting_fsync(file: int) -> None:
        if here("half written"):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            _halt()
        fsync(file)
        if here("written"):
            _halt()

    def halting_replace(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        if here("renamed"):
            _halt()
        return moved

    TrainState.save = counted_save  # type: ignore[method-assign]
    os.link, os.fsync, Path.replace = halting_link, halting_fsync, halting_replace  # type: ignore[assignment, method-assign]


def _halt_before(module: object, status: str) -> None:
    """Halt before ``module`` writes that a fold is ``status``."""
    write = module.write_record  # type: ignore[attr-defined]

    def halting(record: object, path: Path) -> None:
        if isinstance(record, RunRecord) and record.status == status:
            _halt()
        write(record, path)

    module.write_record = halting  # type: ignore[attr-defined]


if __name__ == "__main__":
    chosen, which, *arguments = sys.argv[1:]
    keeper._SAVE_EVERY_S = 0.0
    _halt_in_save(chosen, int(which))
    if chosen == "weights written":
        _halt_before(fold, "trained")
    if chosen == "validated":
        _halt_before(recipe, "validated")
    raise SystemExit(main(arguments))

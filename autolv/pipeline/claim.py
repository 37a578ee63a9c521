"""What a run's name stands for, and who works on a fold: several processes may train the folds of one run at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autolv.core.errors import WorkspaceError
from autolv.core.workspace import Workspace
from autolv.runtime.ranks import Ranks
from autolv.schema.plan import Configuration
from autolv.schema.record import create_record, read_record
from autolv.schema.results import RunChoices, RunRecord

_log = logging.getLogger(__name__)
_CHOICES_IN_WORDS = {"plan_hash": "plan", "splits_hash": "splits", "data_hash": "images or labels"}
_MINE = "mine"


def refuse_other_choices(workspace: Workspace, dataset: str, run: str, choices: RunChoices) -> None:
    """Refuse a run's name that stands for other choices than these."""
    path = _choices_file(workspace, dataset, run)
    if not path.exists():
        return
    before = read_record(RunChoices, path)
    if before != choices:
        detail = ", ".join(
            f"{_CHOICES_IN_WORDS.get(name, name)} {getattr(before, name)} before, {getattr(choices, name)} now"
            for name in RunChoices.model_fields
            if getattr(before, name) != getattr(choices, name)
        )
        raise WorkspaceError(
            f"the run {run!r} of {dataset} was begun with other choices: {detail}.",
            remedy=f"Give this one a name of its own with --run, or delete {path.parent} to begin again.",
        )


def refuse_other_blocks(folder: Path, configuration: Configuration, anew: int | None) -> None:
    """Refuse a configuration of which the run holds folds, in ``folder``, that were trained by other numbers.

    ``anew`` is a fold that does not count, since it is trained again.
    """
    for path in sorted(folder.glob("fold_*/run.json")):
        before = read_record(RunRecord, path).configuration
        if path.parent.name != f"fold_{anew}" and before.block_hashes() != configuration.block_hashes():
            raise WorkspaceError(
                f"{path.parent} was trained by other numbers than the plan has for {configuration.name} now.",
                remedy="Give this run a name of its own with --run, or delete that folder to train the fold again.",
            )


def claim_run(workspace: Workspace, dataset: str, run: str, choices: RunChoices) -> None:
    """Write down what the run's name stands for from now on; of several who do so at once, one decides."""
    create_record(choices, _choices_file(workspace, dataset, run))
    refuse_other_choices(workspace, dataset, run, choices)


def _choices_file(workspace: Workspace, dataset: str, run: str) -> Path:
    return workspace.run(dataset, run) / "choices.json"


@contextmanager
def claimed(place: Path, ranks: Ranks) -> Iterator[bool]:
    """Yield whether ``ranks`` alone may work on the fold at ``place`` until the block ends, or they do.

    The operating system holds the lock, so that a process that is killed leaves none behind.
    """
    lock = FileLock(place / ".lock")

    def take() -> str:
        place.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return ""
        return _MINE

    try:
        yield ranks.from_main(take) == _MINE
    finally:
        lock.release()


def leave(number: int, run: str, *, skip_taken: bool) -> None:
    """Say that another process works on a fold; where it was asked for by its number that is a ``WorkspaceError``."""
    if not skip_taken:
        raise WorkspaceError(
            f"fold {number} of the run {run!r} is being trained by another process.",
            remedy="Wait for it, name another fold with -f, or another run with --run.",
        )
    _log.info("fold %d is being trained by another process and left to it", number)

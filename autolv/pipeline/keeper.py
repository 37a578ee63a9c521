"""What is told and kept of a fold while it is trained: for a terminal, for the eye, and to go on from."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from autolv.parallel import Position, duration
from autolv.pipeline.job import FoldJob
from autolv.pipeline.page import write_page
from autolv.pipeline.tensorboard import Row, event_file
from autolv.reporting.figures import progress_figure
from autolv.schema.record import write_text
from autolv.schema.results import RunRecord
from autolv.training.loop import Pace
from autolv.training.state import TrainState

_log = logging.getLogger(__name__)
STATE = "state.pt"
_SAVE_EVERY_S = 20.0
_DRAW_EVERY_S = 60.0


class Keeper:
    """After each step it tells the position; after each epoch a line, and it keeps what the fold's folder holds of a run.

    That is the history and, from time to time, the state, the picture and the page; ``log_row`` gets each row too.
    """

    def __init__(
        self,
        job: FoldJob,
        record: RunRecord,
        pace: Pace,
        log_row: Callable[[Row], None] | None,
        show: Callable[[Position], None] | None,
    ) -> None:
        self._place, self._record, self._pace, self._log_row, self._show = job.place, record, pace, log_row, show
        self._label = f"{job.configuration.name} fold {job.fold}"
        self._saved = self._drawn = time.monotonic()

    def after_step(self, state: TrainState) -> None:
        """Show the position, if somebody looks."""
        if self._show is not None:
            left_s = _left_s(state, self._pace)
            self._show(Position(label=self._label, done=state.iteration, total=self._pace.total, left_s=left_s))

    def after_epoch(self, state: TrainState) -> None:
        """Tell and keep the epoch that has ended."""
        _log_epoch(state, self._pace)
        write_text(self._place / "history.csv", _csv(state.history))
        if self._log_row is not None:
            self._log_row(state.history[-1])
        if time.monotonic() - self._saved > _SAVE_EVERY_S or state.iteration == self._pace.total:
            state.save(self._place / STATE)
            self._saved = time.monotonic()
        if time.monotonic() - self._drawn > _DRAW_EVERY_S:
            progress_figure(state.history, self._place / "progress.png")
            write_page(self._record, self._place)
            self._drawn = time.monotonic()


class Silent:
    """What stands for the keeper in all processes of a training but the first."""

    def after_step(self, state: TrainState) -> None:
        """Show nothing."""

    def after_epoch(self, state: TrainState) -> None:
        """Keep nothing."""


@contextmanager
def keeping(
    job: FoldJob, record: RunRecord, state: TrainState, pace: Pace, show: Callable[[Position], None] | None
) -> Iterator[Keeper | Silent]:
    """Yield the keeper of a run that begins or goes on with ``state``; what ``job.log`` asks for ends with the block."""
    if not job.ranks.is_main:
        yield Silent()
        return
    if job.log is None:
        yield Keeper(job, record, pace, None, show)
        return
    with event_file(job.place, state.history, job.place / "patches.png") as log_row:
        yield Keeper(job, record, pace, log_row, show)


def _log_epoch(state: TrainState, pace: Pace) -> None:
    row = state.history[-1]
    dice = " ".join(f"{key.removeprefix('dice_')} {row[key]:.3f}" for key in row if key.startswith("dice_"))
    _log.info(
        "epoch %d/%d  loss %.4f  Dice (patches): %s  rate %.2e  %.1f s (%.0f %% for data)  %s left",
        int(row["epoch"]), math.ceil(pace.total / pace.per_epoch), row["loss"], dice, row["learning_rate"],
        row["seconds"], 100.0 * row["data_seconds"] / max(row["seconds"], 1e-9), duration(_left_s(state, pace)),
    )  # fmt: skip


def _left_s(state: TrainState, pace: Pace) -> float:
    return (pace.total - state.iteration) * (state.seconds + state.epoch_seconds) / max(1, state.iteration)


def _csv(history: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()

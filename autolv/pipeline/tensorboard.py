"""A run's history as TensorBoard's event files. The package is an extra, which only this module meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autolv.core.errors import TrainingError

Row = Mapping[str, float]


def event_writer() -> Any:
    """Return torch's class that writes event files; raises ``TrainingError`` where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError(
            f"--log tensorboard needs the package tensorboard, which cannot be imported ({error}).",
            remedy="Install it (pip install tensorboard), or leave --log out; history.csv and progress.png are always kept.",
        ) from error
    return SummaryWriter


@contextmanager
def event_file(place: Path, history: Sequence[Row], picture: Path) -> Iterator[Callable[[Row], None]]:
    """Yield a function that adds an epoch's row of the history to the event file in ``place``, for all to see at once.

    The file is begun anew with all of ``history``: what a run that was killed wrote beyond the state it had saved comes
    again as it goes on, and must not stand there twice. Its clock is that of training: pauses are left out. ``picture``, a
    PNG file, goes along if it is there.
    """
    discard_events(place)
    clock = time.time() - sum(row["seconds"] for row in history)
    # purge_step: a TensorBoard that is looking on, or a file that could not be removed, counts no more
    with event_writer()(str(place), purge_step=0) as writer:

        def add(row: Row) -> None:
            nonlocal clock
            clock += row["seconds"]
            for name, value in row.items():
                if name not in ("epoch", "iteration"):
                    writer.add_scalar(name.replace("dice_", "dice/"), value, int(row["epoch"]), walltime=clock)
            writer.flush()

        if picture.is_file():
            writer.add_image("patches", _pixels(picture), 0, walltime=clock, dataformats="HWC")
        for row in history:
            add(row)
        yield add


def discard_events(place: Path) -> None:
    """Remove the event files in ``place``."""
    for old in place.glob("events.out.tfevents.*"):
        with suppress(PermissionError):  # Windows, while a TensorBoard reads it
            old.unlink(missing_ok=True)


def _pixels(picture: Path) -> Any:
    """Return the pixels of a PNG file, (height, width, 3), from 0 to 1."""
    from matplotlib.image import imread

    return imread(picture)[..., :3]

"""The time that a search has taken, kept on disk so that it counts on after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from autolv.schema.record import read_record, write_record
from autolv.schema.tuning import Spent

_WRITE_EVERY_S = 5.0


class Clock:
    """Seconds spent on a study by this process, since ``begin``, and by those before it.

    A kill forgets five of them at most. ``now`` tells the time, in seconds.
    """

    def __init__(self, path: Path, begin: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._begin, self._now = path, begin, now
        self._before = read_record(Spent, path).seconds if path.exists() else 0.0
        self._written = now()

    @property
    def seconds(self) -> float:
        """The seconds spent so far."""
        return self._before + self._now() - self._begin

    def write(self) -> None:
        """Keep the time spent so far."""
        write_record(Spent(seconds=round(self.seconds, 3)), self._path)
        self._written = self._now()

    def up(self, limit_s: float) -> bool:
        """Return whether ``limit_s`` are spent; asked at every step of a training, it also keeps the time."""
        if self._now() - self._written > _WRITE_EVERY_S:
            self.write()
        return self.seconds >= limit_s

"""The one way to run many independent pieces: it names the one that failed, and shows progress with the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from threadpoolctl import threadpool_limits

from autolv.core.errors import AutolvError

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)
_LINE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a long piece of work is: ``done`` of ``total`` steps, and how many seconds the rest is expected to take."""

    label: str
    done: int
    total: int
    left_s: float


class Progress:
    """Logs how far a loop of ``total`` pieces is and how long the rest will take, at most every few seconds."""

    def __init__(self, label: str, total: int, *, every_s: float = _LINE_EVERY_S) -> None:
        self._label, self._total, self._every_s = label, total, every_s
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self) -> None:
        """Count one more piece as done."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= self._every_s or (self._done == self._total and self._last > self._start):
            self._last = now
            left_s = (now - self._start) / self._done * (self._total - self._done)
            _log.info("%s: %d/%d, %s left", self._label, self._done, self._total, duration(left_s))


def duration(seconds: float) -> str:
    """Return a duration for people: ``"45 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put ``name`` (of a case, say) before the message of any ``AutolvError`` raised inside."""
    try:
        yield
    except AutolvError as error:
        if name in error.message:
            raise
        message = f"{name}: {error.message}"
        error.message = message
        error.args = (f"{message} {error.remedy}".strip(),)
        raise


def run_each(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    name: Callable[[T], str],
    label: str,
    workers: int = 0,
) -> list[R]:
    """Return ``[function(item) for item in items]``, computed by ``workers`` threads (0 and 1: inline, in order).

    The functions that are run here spend their time in reading files and in array libraries that release the
    interpreter lock, so threads suffice and no process has to import anything. The first error stops the rest and is
    raised with the failing piece's name in front.
    """
    progress = Progress(label, len(items))

    def one(item: T) -> R:
        with naming(name(item)):
            return function(item)

    if workers <= 1 or len(items) <= 1:
        results = []
        for item in items:
            results.append(one(item))
            progress.advance()
        return results
    # each piece on one core: the linear algebra's own threads would only get into one another's way
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(max_workers=workers, thread_name_prefix="autolv") as pool,
    ):
        futures = [pool.submit(one, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
                progress.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]

"""The one way to run many independent pieces: it names the one that failed, and shows progress with the time left."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar, final

from threadpoolctl import threadpool_limits

from autolv.core.errors import AutolvError

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)
_LINE_EVERY_S = 5.0
_END = object()


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


def ahead(items: Iterator[T], *, depth: int) -> Iterator[T]:
    """Yield ``items``, which a thread of its own makes: up to ``depth`` of them lie ready.

    What making one raises is raised in its place. A caller that stops early waits for the one that is being made.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="autolv_ahead") as pool:
        waiting: deque[Future[T | object]] = deque(pool.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item  # type: ignore[misc]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@final
class Behind:
    """Makes calls in their order in a thread of its own, while the caller goes on; at most ``depth`` of them wait.

    As a context it ends when all are made. What a call raises is raised at one of the next, or at the end.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="autolv_behind")
        self._waiting: deque[Future[None]] = deque()

    def do(self, call: Callable[[], None]) -> None:
        """Make ``call`` after those before it."""
        self._waiting.append(self._pool.submit(call))
        while len(self._waiting) > self._depth:
            self._waiting.popleft().result()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            for future in self._waiting:
                future.result()

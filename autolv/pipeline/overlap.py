"""Stages that go on at once: what comes next is made ahead by a thread, what is left to do is done behind by another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar, final

T = TypeVar("T")
_END = object()


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

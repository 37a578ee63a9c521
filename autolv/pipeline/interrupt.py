"""SIGTERM and Ctrl-C ask a run to stop at the next safe place."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from autolv.core.errors import Interrupted

_log = logging.getLogger(__name__)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM or SIGINT has come; a second Ctrl-C interrupts at once.

    Outside the main thread, where signals cannot be caught, it never says so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        _log.warning("stopping at the next safe place; once more to stop at once.")

    caught = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(number, note) for number in caught]
    try:
        yield asked.is_set
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)


def stop_if(asked: Callable[[], bool], before: str) -> None:
    """Raise ``Interrupted`` if a stop was ``asked`` for; ``before`` says what would have come next."""
    if asked():
        raise Interrupted(
            f"stopped as asked before {before}; what was done is kept.",
            remedy="Run the same command again to go on from there.",
        )

"""Batches made ahead by other processes, in the order and with the content that making them one by one gives.

For data that do not fit into memory: while a step is taken, workers read the next patches from disk and augment them.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter

from autolv.core.errors import TrainingError
from autolv.training.sampler import Batch, Sampler, pinned

_AHEAD = 2  # batches that each worker keeps ready
_PATIENCE_S = 20.0  # reading a few slices takes milliseconds, opening thousands of files a second
_WATCH_EVERY_S = 1.0
_REMEDY = "Run the same command again to go on; with --workers 0 batches are made without other processes."


@contextmanager
def prefetched(
    make_sampler: Callable[[], Sampler],
    *,
    first: int,
    last: int,
    workers: int,
    pin: bool,
    patience_s: float = _PATIENCE_S,
) -> Iterator[Callable[[int], Batch]]:
    """Yield a function that returns the batch of an iteration, to be asked for each from ``first`` to ``last`` in turn.

    ``make_sampler`` is called in each of the ``workers`` processes, so it must be picklable and should open files
    rather than carry arrays. With ``pin`` the tensors lie in pinned memory. A batch is what ``Sampler.batch`` gives,
    however many workers there are. The function raises ``TrainingError`` when a worker fails, dies, or gives nothing
    for ``patience_s``. The workers end with the block.
    """
    stream = MultiThreadedAugmenter(
        _Share(make_sampler, first, last, workers), None, workers, num_cached_per_queue=_AHEAD, seeds=[0] * workers
    )

    def batch_of(iteration: int) -> Batch:
        item = watch.next()
        if "error" in item:
            raise TrainingError(f"batch {iteration} cannot be made: {item['error']}.", remedy=_REMEDY)
        if item["iteration"] != iteration:
            raise ValueError(f"batches are made in turn: {item['iteration']} comes next, {iteration} was asked for")
        batch = Batch(
            images=torch.from_numpy(item["images"]),
            labels=torch.from_numpy(item["labels"]),
            cases=tuple(item["cases"]),
            known=None if item["known"] is None else torch.from_numpy(item["known"]),
        )
        return pinned(batch) if pin else batch

    with _Watch(stream, patience_s) as watch:
        try:
            yield batch_of
        finally:
            stream._finish()  # it has no public name; deleting the object would leave the time to chance


class _Watch:
    """Ends a stream that has lost a worker or is silent for too long, whoever waits for it, and tells so by one sentence.

    Left alone, batchgenerators waits for ever for the rest of a batch whose worker was killed in writing it.
    """

    def __init__(self, stream: Any, patience_s: float) -> None:
        self._stream, self._patience_s = stream, patience_s
        self._asked = math.inf  # when the batch was asked for that is waited for
        self._silent = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._hook_before, threading.excepthook = threading.excepthook, self._hook
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        threading.excepthook = self._hook_before

    def next(self) -> dict[str, Any]:
        """Return the stream's next item, or raise ``TrainingError``."""
        self._asked = time.monotonic()
        try:
            item: dict[str, Any] = next(self._stream)
        except RuntimeError as error:
            what = f"gave no batch for {self._patience_s:g} s" if self._silent else "is no longer there"
            raise TrainingError(f"a process that makes batches {what}.", remedy=_REMEDY) from error
        finally:
            self._asked = math.inf
        return item

    def _hook(self, raised: threading.ExceptHookArgs) -> None:
        """Leave what the stream's own thread raises to ``next``, which tells it better."""
        if raised.thread is not self._stream.pin_memory_thread:
            self._hook_before(raised)

    def _look(self) -> None:
        while not self._over.wait(_WATCH_EVERY_S):
            workers = self._stream._processes if self._stream.was_initialized else []
            lost = not all(worker.is_alive() for worker in workers)
            if lost or time.monotonic() - self._asked > self._patience_s:
                self._silent = not lost
                self._end(workers)
                return

    def _end(self, workers: Sequence[Any]) -> None:
        self._stream.abort_event.set()
        for worker in workers:
            worker.terminate()
        for (
            queue
        ) in self._stream._queues:  # the last who could write: who reads half a batch now learns that no more comes
            queue._writer.close()


def _end_with_parent(parent: int) -> None:
    """End this process once its parent is gone: killed, it could not tell its workers."""
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


class _Share:
    """What one of ``workers`` makes: every so manieth batch, beginning with that of its own number."""

    def __init__(self, make_sampler: Callable[[], Sampler], first: int, last: int, workers: int) -> None:
        self._make_sampler, self._workers, self._last = make_sampler, workers, last
        self._iteration = first
        self._sampler: Sampler | None = None

    def set_thread_id(self, number: int) -> None:
        """Take a number from 0 to ``workers`` - 1, in the worker's own process, which ends with its parent."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its workers
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hasattr(os, "setpgrp"):
            os.setpgrp()  # torchrun and batch systems signal a whole group to stop, and the last batches are still needed
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
        torch.set_num_threads(1)
        self._iteration += number

    def __next__(self) -> dict[str, Any]:
        if self._iteration >= self._last:
            raise StopIteration
        iteration, self._iteration = self._iteration, self._iteration + self._workers
        try:
            self._sampler = self._sampler or self._make_sampler()
            batch = self._sampler.batch(iteration)
        except Exception as error:  # noqa: BLE001 - told where it can be told with a name
            return {"iteration": iteration, "error": f"{type(error).__name__}: {error}"}
        # arrays, since tensors would be passed by file descriptors, of which there may be too few
        return {
            "iteration": iteration,
            "images": batch.images.numpy(),
            "labels": batch.labels.numpy(),
            "cases": batch.cases,
            "known": None if batch.known is None else batch.known.numpy(),
        }

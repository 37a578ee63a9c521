"""Made ahead and done behind: in order, no further than said, and errors come out."""

import threading
from collections.abc import Iterator

import pytest

from autolv.core.errors import DataError
from autolv.pipeline.overlap import Behind, ahead


def test_what_is_made_ahead_comes_in_order_and_no_further_ahead_than_said() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(6):
            made.append(n)
            yield n

    found = ahead(numbers(), depth=2)
    assert made == []  # nothing is begun before it is asked for
    for n in range(6):
        assert next(found) == n
        assert len(made) <= n + 1 + 2
    assert list(found) == [] and made == list(range(6))


def test_an_error_ahead_is_raised_in_its_place_and_a_caller_may_stop_early() -> None:
    threads = set()

    def two_and_an_error() -> Iterator[int]:
        threads.add(threading.current_thread())
        yield 1
        yield 2
        raise DataError("the third cannot be read.")

    found = ahead(two_and_an_error(), depth=3)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(DataError, match="the third"):
        next(found)
    stopped = ahead(iter(range(10**9)), depth=2)
    assert next(stopped) == 0
    stopped.close()  # type: ignore[attr-defined]
    (worker,) = threads
    assert worker is not threading.current_thread() and not worker.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("autolv_ahead")]


def test_calls_behind_keep_their_order_and_no_more_wait_than_said() -> None:
    done: list[int] = []
    gate = threading.Event()

    def call(n: int) -> None:
        gate.wait(10)
        done.append(n)

    with Behind(depth=2) as behind:
        for n in range(2):
            behind.do(lambda n=n: call(n))  # type: ignore[misc]
        assert done == []  # the caller has gone on
        threading.Timer(0.05, gate.set).start()
        behind.do(lambda: call(2))  # waits for the first: three may not wait
        assert done[:1] == [0]
    assert done == [0, 1, 2]


def test_an_error_behind_reaches_the_caller() -> None:
    def fail() -> None:
        raise DataError("the disk is full.")

    with pytest.raises(DataError, match="the disk is full"), Behind(depth=1) as behind:
        behind.do(fail)
    with pytest.raises(ZeroDivisionError), Behind(depth=5) as behind:  # what the caller raises comes first
        behind.do(fail) or 1 / 0  # type: ignore[func-returns-value]

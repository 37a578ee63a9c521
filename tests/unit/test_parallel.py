"""Independent pieces: results in order, the failing one named, threads or not."""

import logging
import threading
from collections.abc import Iterator

import pytest

from autolv.core.errors import DataError
from autolv.parallel import Behind, Progress, ahead, duration, run_each


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_keep_the_order(workers: int) -> None:
    assert run_each(lambda n: n * n, [3, 1, 2], name=str, label="square", workers=workers) == [9, 1, 4]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_names_its_piece_and_keeps_the_remedy(workers: int) -> None:
    def fail(n: int) -> int:
        if n == 2:
            raise DataError("the image is constant.", remedy="Replace it.")
        return n

    with pytest.raises(DataError, match=r"case_2: the image is constant\.") as caught:
        run_each(fail, [1, 2, 3], name=lambda n: f"case_{n}", label="x", workers=workers)
    assert caught.value.remedy == "Replace it."
    assert str(caught.value).endswith("Replace it.")


def test_a_foreign_error_passes_unchanged() -> None:
    def divide(_: int) -> int:
        raise ZeroDivisionError("hidden?")

    with pytest.raises(ZeroDivisionError, match="hidden"):
        run_each(divide, [1, 2], name=str, label="x", workers=2)


def test_nothing_to_do() -> None:
    assert run_each(lambda n: n, [], name=str, label="x", workers=2) == []


def test_progress_tells_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        progress = Progress("work", 2, every_s=0.0)
        progress.advance()
        progress.advance()
    assert caplog.messages[0].startswith("work: 1/2, ") and caplog.messages[-1] == "work: 2/2, 0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


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

"""Independent pieces: results in order, the failing one named, threads or not."""

import logging

import pytest

from autolv.core.errors import DataError
from autolv.parallel import Progress, duration, run_each


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

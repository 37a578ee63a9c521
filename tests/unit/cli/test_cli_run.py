"""Running a command: places, next command, errors with remedy and status, the environment, loudness."""

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autolv.cli.arguments import add_common, add_run, new_parser
from autolv.cli.run import root_of, run, show_next, show_places
from autolv.core.errors import DataError, Interrupted, ModelError, PartialFailure


def parser() -> argparse.ArgumentParser:
    made = new_parser("autolv_test", "A command.", "autolv_test")
    add_run(made)
    add_common(made)
    return made


def raising(error: BaseException) -> object:
    def work(_args: argparse.Namespace) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            DataError("case_1 has no label.", remedy="Add it."),
            2,
            "error: case_1 has no label.\n  what to do: Add it.\n",
        ),
        (PartialFailure("1 of 3 failed."), 1, "error: 1 of 3 failed.\n"),
        (
            Interrupted("stopped at epoch 3.", remedy="Run it again."),
            130,
            "error: stopped at epoch 3.\n  what to do: Run",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted.\n"),
        (OSError(28, "No space left on device", "/x/y"), 2, "error: /x/y: No space left on device.\n  what to do: "),
    ],
)
def test_what_went_wrong_is_told_in_a_sentence_with_the_status(
    error: BaseException, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(parser(), [], raising(error)) == status
    captured = capsys.readouterr()
    assert captured.err.startswith(told)
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_who_reads_the_output_may_stop_early() -> None:
    code = (
        "import sys\nfrom autolv.cli.run import run\nfrom autolv.cli.doctor import build_parser\n"
        "def work(args):\n    for _ in range(100000):\n        print('line')\n"
        "sys.exit(run(build_parser(), [], work))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "line\n"
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(timeout=60) == 0


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(parser(), [], raising(ZeroDivisionError()))


def test_verbose_tells_where_an_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parser(), ["--verbose"], raising(DataError("no."))) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_command_named_as_remedy_gets_the_root_that_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ModelError("no.", remedy="Run: autolv_train -d X")
    run(parser(), ["--root", str(tmp_path / "a b")], raising(error))
    assert f"Run: autolv_train -d X --root '{tmp_path / 'a b'}'" in capsys.readouterr().err


def test_the_root_is_the_flag_then_the_environment_then_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOLV_ROOT", raising=False)
    assert root_of(parser().parse_args([])) == Path()
    monkeypatch.setenv("AUTOLV_ROOT", "/data/a b")
    assert root_of(parser().parse_args([])) == Path("/data/a b")
    assert root_of(parser().parse_args(["--root", "/other"])) == Path("/other")
    monkeypatch.setenv("AUTOLV_ROOT", '"C:\\data"')  # as a Windows prompt keeps it
    assert root_of(parser().parse_args([])) == Path("C:\\data")
    monkeypatch.setenv("AUTOLV_ROOT", "")
    assert root_of(parser().parse_args([])) == Path()


def test_places_and_next_are_told_with_the_root_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(args: argparse.Namespace) -> None:
        show_places(args, input="scans", output=None)
        show_next(args, "autolv_train -d X")

    root = tmp_path / "a b"
    assert run(parser(), ["--root", str(root), "--run", "long"], work) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"workspace: {root}",
        f"input: {Path.cwd() / 'scans'}",
        f"next: autolv_train -d X --run long --root '{root}'",
    ]


@pytest.mark.parametrize(("flag", "heard"), [("--quiet", ["warning: w"]), ("--verbose", ["d", "i", "warning: w"])])
def test_loudness(flag: str, heard: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def work(_args: argparse.Namespace) -> None:
        log = logging.getLogger("autolv.test")
        log.debug("d")
        log.info("i")
        log.warning("w")

    run(parser(), [flag], work)
    assert capsys.readouterr().err.splitlines() == heard


def test_lines_are_neither_wrapped_nor_coloured_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    line = "x" * 300 + " [bold] :heart: 12.5"

    def work(_args: argparse.Namespace) -> None:
        logging.getLogger("autolv.test").info("%s", line)

    run(parser(), [], work)
    assert capsys.readouterr().err == f"{line}\n"


def test_running_twice_tells_once(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_args: argparse.Namespace) -> None:
        logging.getLogger("autolv.test").info("once")

    run(parser(), [], work)
    capsys.readouterr()
    run(parser(), [], work)
    assert capsys.readouterr().err == "once\n"


@pytest.mark.parametrize(("told", "said"), [({}, "at the end"), ({"TORCHELASTIC_RUN_ID": "x"}, "")])
def test_one_of_several_processes_ends_at_once_with_its_status(told: dict[str, str], said: str) -> None:
    code = (
        "import atexit, sys; from autolv.cli.run import end_of_one_of_several as end;"
        "atexit.register(print, 'at the end'); print('done', file=sys.stderr, end=''); sys.exit(end(3))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | told, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (3, "done", said)

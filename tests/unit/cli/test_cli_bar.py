"""The bar of a training: on a terminal, below the log's lines, which stay whole; nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

_WORK = """
import logging, sys, time
from autolv.cli import bar
from autolv.cli.arguments import add_common, new_parser
from autolv.cli.run import run
from autolv.parallel import Position

bar._DRAW_EVERY_S = 0.0

def work(args):
    with bar.live_bar(args) as show:
        for done in range(1, 5):
            if show is not None:
                show(Position(label="2d_unet fold 0", done=done, total=4, left_s=61.0 * (4 - done)))
            if done == 2:
                logging.getLogger("autolv.test").info("epoch 1/2 %s", "x" * 90)
                print("something else", file=sys.stderr)
    logging.getLogger("autolv.test").info("done")

parser = new_parser("autolv_test", "A command.", "autolv_test")
add_common(parser)
raise SystemExit(run(parser, sys.argv[1:], work))
"""
_LINES = ["epoch 1/2 " + "x" * 90, "something else", "done"]


def _on_a_terminal(*arguments: str, term: str = "xterm-256color") -> str:
    """Run the work with a terminal of 120 columns as its standard error and return what it got to show."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": term, "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, *arguments], stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    ) as child:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # Linux' way to say that nobody writes any more
            pass
    os.close(ours)
    assert child.returncode == 0
    return shown.decode()


def _screen(shown: str) -> list[str]:
    """Return the lines that stay on the screen: an erased line is gone, colours are not seen."""
    lines = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        kept = re.split(r"\x1b\[2K", line)[-1]
        lines.append(re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\r", "", kept))
    return lines


def test_a_terminal_shows_the_bar_and_keeps_the_lines() -> None:
    shown = _on_a_terminal()
    for text in (" 25%", " 50%", "2d_unet fold 0", "3 min 03 s left", "1 min 01 s left"):
        assert text in shown
    assert [line for line in _screen(shown) if line] == _LINES  # the bar is gone in the end
    assert "\x1b[?25h" in shown  # the cursor is there again


@pytest.mark.parametrize(("arguments", "term"), [(("--quiet",), "xterm-256color"), ((), "dumb")])
def test_who_wants_quiet_or_has_a_dumb_terminal_gets_no_bar(arguments: tuple[str, ...], term: str) -> None:
    shown = _on_a_terminal(*arguments, term=term)
    assert "left" not in shown and "\x1b" not in shown


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "NO_COLOR"])
def test_a_file_gets_the_lines_and_nothing_else(variable: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WORK], capture_output=True, text=True, check=True, env=os.environ | {variable: "1"}
    )
    assert done.stderr.splitlines() == _LINES and done.stdout == ""

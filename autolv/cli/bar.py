"""The bar that a terminal shows below the log while a network is trained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autolv.cli.run import log_console
from autolv.parallel import Position, duration

_DRAW_EVERY_S = 0.25


@contextmanager
def live_bar(args: argparse.Namespace) -> Iterator[Callable[[Position], None] | None]:
    """Yield a function that draws a position; ``None`` where nobody looks: no terminal, or ``--quiet``.

    The log's lines go on above the bar. It is drawn between two steps, not by a thread, since processes may be forked.
    """
    if args.quiet or not sys.stderr.isatty() or log_console().is_dumb_terminal:
        yield None
        return
    console = log_console()
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]} left"),
    )
    with Progress(*columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False) as bar:
        task = bar.add_task("", visible=False, left="")
        drawn = 0.0

        def show(at: Position) -> None:
            nonlocal drawn
            now, ended = time.monotonic(), at.done >= at.total
            if now - drawn >= _DRAW_EVERY_S or ended:
                bar.update(
                    task, description=at.label, completed=at.done, total=at.total, left=duration(at.left_s),
                    visible=not ended, refresh=True,
                )  # fmt: skip
                drawn = now

        yield show

"""How every command runs: log, places, errors with remedy and exit status, the next command."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autolv.core.errors import AutolvError

if TYPE_CHECKING:
    from rich.console import Console

_log = logging.getLogger(__name__)
_INTERRUPTED = 130
_STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}


def run(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, work: Callable[[argparse.Namespace], object]
) -> int:
    """Parse ``argv``, do ``work`` and return the exit status: 0, that of the error, or 130 when interrupted.

    What a user can mend comes as an ``AutolvError`` and is told in a sentence or two; other exceptions are faults of
    autolv and keep their traceback.
    """
    args = parser.parse_args(argv)
    args.quiet = args.quiet or _rank() > 0  # of several processes the first speaks for all
    _set_up_log(args)
    try:
        work(args)
    except AutolvError as error:
        return _tell(args, error.message, error.remedy, error.exit_status)
    except KeyboardInterrupt:
        return _tell(args, "interrupted.", "", _INTERRUPTED)
    except BrokenPipeError:  # who read our output has read enough (``autolv_doctor | head``)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the flush at exit
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _tell(args, f"{place}{error.strerror or error}.", "Check that the place exists, may be written, and is not full.", 2)  # fmt: skip  # noqa: E501
    return 0


def end_of_one_of_several(status: int) -> int:
    """Return ``status``; where torchrun has started this process, end it with that at once.

    A thread of the process group may hold a tensor a little longer than its exchange lasts. Where it lets go of it while
    the interpreter ends, the process aborts, and torchrun would report a failure of what is done.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def root_of(args: argparse.Namespace) -> Path:
    """Return the workspace's root: ``--root``, else the environment's ``AUTOLV_ROOT``, else the current folder."""
    given: str | None = args.root
    # a Windows prompt keeps the quotes that were put around a path
    return Path(given or os.environ.get("AUTOLV_ROOT", "").strip("\"'") or ".").expanduser()


def show_places(args: argparse.Namespace, **places: Path | str | None) -> None:
    """Tell, once per run, where the workspace is and what other ``places`` the command reads and writes."""
    lines = [f"workspace: {root_of(args).resolve()}"]
    lines += [f"{name}: {Path(place).expanduser().resolve()}" for name, place in places.items() if place is not None]
    _log.info("%s", "\n".join(lines))


def show_next(args: argparse.Namespace, command: str, *, takes_run: bool = True) -> None:
    """Tell the command to run next, with the root and, if it ``takes_run``, the run that this one was given."""
    _log.info("next: %s%s%s", command, _run_flag(args) if takes_run else "", _root_flag(args))


def optional_path(text: str | None) -> Path | None:
    """Return a flag's value as a path, or ``None`` where it was not given."""
    return None if text is None else Path(text).expanduser()


def log_console() -> Console:
    """Return the console that the running command's messages go to."""
    return next(handler.console for handler in logging.getLogger("autolv").handlers if isinstance(handler, _Lines))


class _Lines(logging.Handler):
    """Writes each message as it is, warnings with ``warning:`` before them, coloured where a terminal reads."""

    @functools.cached_property
    def console(self) -> Console:
        from rich.console import Console  # a tenth of a second, which a log in a file need not wait for

        return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        if sys.stderr.isatty() or "FORCE_COLOR" in os.environ:
            self.console.print(text, style=_STYLES.get(record.levelno, ""))
        else:
            print(text, file=sys.stderr, flush=True)


def _set_up_log(args: argparse.Namespace) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows a question mark
    logger = logging.getLogger("autolv")
    for handler in [h for h in logger.handlers if isinstance(h, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines())
    logger.setLevel(logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO)


def _tell(args: argparse.Namespace, message: str, remedy: str, status: int) -> int:
    _log.debug("where it arose:", exc_info=True)
    speaker = f"process {_rank()}: " if _rank() > 0 else ""
    print(f"{speaker}error: {message}", file=sys.stderr)
    if remedy:
        if remedy.startswith("Run: autolv_"):
            remedy += _root_flag(args)
        print(f"  what to do: {remedy}", file=sys.stderr)
    return status


def _rank() -> int:
    """Return the number of this process among those that torchrun has started, 0 where it has not."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def _root_flag(args: argparse.Namespace) -> str:
    return f" --root {shlex.quote(args.root)}" if args.root else ""


def _run_flag(args: argparse.Namespace) -> str:
    name = getattr(args, "run", "default")
    return "" if name == "default" else f" --run {name}"

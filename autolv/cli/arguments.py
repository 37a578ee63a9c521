"""The flags, each defined once, so that they are alike in every command. Imports nothing that is slow."""

from __future__ import annotations

import argparse
import re
import textwrap

from autolv import __version__

_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_FRAMES = re.compile(r"(?P<first>\d{1,6})(?:-(?P<last>\d{1,6}))?")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def new_parser(command: str, description: str, example: str) -> argparse.ArgumentParser:
    """Return a parser whose help ends with ``example``, one line that works when it is pasted."""
    return argparse.ArgumentParser(
        prog=command,
        description=textwrap.fill(description, 100),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_common(parser: argparse.ArgumentParser, *, root: str = "the workspace") -> None:
    """Add what every command has: ``--root``, ``--verbose``, ``--quiet``, ``--version``."""
    parser.add_argument(
        "--root", metavar="DIR", help=f"{root} (default: the environment's AUTOLV_ROOT, else the current folder)"
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help="tell more, and show where an error arose")
    loudness.add_argument("--quiet", action="store_true", help="tell only results, warnings and errors")
    parser.add_argument("--version", action="version", version=f"autolv {__version__}")


def add_dataset(parser: argparse.ArgumentParser, *, required: bool = True, text: str = "name of the dataset") -> None:
    """Add ``-d/--dataset``."""
    parser.add_argument("-d", "--dataset", metavar="DATASET", required=required, help=text)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--run``."""
    parser.add_argument(
        "--run", metavar="NAME", default="default", help="name of one set of training choices (default: default)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        metavar="auto|cpu|cuda|mps",
        type=device,
        default="auto",
        help="where to compute; cuda:1 names one GPU of several (default: auto, the best there is)",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    parser.add_argument(
        "--workers", metavar="N", type=whole, help="cases worked on at once (default: the cores granted; 0: inline)"
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", metavar="N", type=whole, default=0, help="seed of everything random (default: 0)")


def add_overwrite(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help=text)


def add_time_budget(parser: argparse._ActionsContainer, text: str, *, required: bool = False) -> None:
    """Add ``--time-budget``; its value is in minutes as ``args.time_budget``."""
    parser.add_argument(
        "--time-budget", metavar="TIME", type=minutes, required=required, help=f"{text}: 90s, 12m, 2h, 1h30m"
    )


def minutes(text: str) -> float:
    """Return a duration such as ``90s``, ``12m``, ``2h`` or ``1h30m`` in minutes."""
    found = _DURATION.fullmatch(text.strip().lower())
    if not found or not any(found.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write 90s, 12m, 2h or 1h30m")
    hours, whole_minutes, seconds = (float(part or 0) for part in found.groups())
    total = 60.0 * hours + whole_minutes + seconds / 60.0
    if total <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time at all")
    return total


def whole(text: str) -> int:
    """Return a whole number of at least 0."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def positive(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def device(text: str) -> str:
    """Return a device's name as it came, if it is one that may exist."""
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a device; use auto, cpu, cuda, cuda:N or mps")
    return text


def fold(text: str) -> int | str:
    """Return a fold's number, or ``"all"``."""
    if text == "all":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a fold; use 0, 1, ... or all")
    return int(text)


def folds(text: str) -> tuple[int, ...] | None:
    """Return folds' numbers from ``0`` or ``0,2``; ``None`` for ``all``."""
    if text == "all":
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} are not folds; use 0, or 0,1,2, or all")
    return tuple(sorted({int(part) for part in parts}))


def frame_numbers(text: str) -> tuple[int, ...]:
    """Return frames' numbers, from 1, of ``1,12`` or ``1-10``."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = _FRAMES.fullmatch(part.strip())
        first, last = (int(found["first"]), int(found["last"] or found["first"])) if found else (0, 0)
        if not 1 <= first <= last:
            raise argparse.ArgumentTypeError(f"{text!r} are not frames, numbered from 1; use 1,12 or 1-10")
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def shard(text: str) -> tuple[int, int]:
    """Return (i, n) of ``i/n``, the i-th of n parts."""
    number, slash, parts = text.partition("/")
    if not slash or not number.isdecimal() or not parts.isdecimal() or not 1 <= int(number) <= int(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part of the inputs; use 1/4, 2/4, 3/4 and 4/4")
    return int(number), int(parts)


def codes(text: str) -> dict[str, int]:
    """Return the codes of structures from ``rv_cavity=1,lv_myocardium=2,lv_cavity=3``."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, code = part.partition("=")
        if not equals or not name.strip() or not code.strip().isdecimal():
            raise argparse.ArgumentTypeError(
                f"{part!r} does not name a structure and its code; write rv_cavity=1,lv_myocardium=2,lv_cavity=3"
            )
        if name.strip() in found:
            raise argparse.ArgumentTypeError(f"{name.strip()!r} stands twice in {text!r}")
        found[name.strip()] = int(code)
    return found

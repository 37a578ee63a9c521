"""``autolv_demo``: the whole way on cine phantoms, from nothing to an evaluated prediction."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from autolv.cli.arguments import add_common, add_device, add_time_budget, add_workers, new_parser
from autolv.cli.bar import live_bar
from autolv.cli.run import root_of, run
from autolv.core.workspace import Workspace

_log = logging.getLogger(__name__)
_FOLDER = "demo"
_MINUTES = 8.5


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_demo",
        "Make cine phantoms, plan, train two architectures over three folds, choose, predict unseen cines, evaluate.",
        "autolv_demo --time-budget 5m",
    )
    add_time_budget(parser, f"about how long it may take on two cores (default: {_MINUTES:g}m)")
    add_device(parser)
    add_workers(parser)
    add_common(parser, root=f"where the folder {_FOLDER!r} is made, which holds everything")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _demo)


def _demo(args: argparse.Namespace) -> None:
    Workspace.at(root_of(args))  # a root that is not there is refused, as by every command
    folder = root_of(args) / _FOLDER
    _log.info("everything is written below %s", folder.resolve())
    from autolv.pipeline.demo import demo

    with live_bar(args) as show:
        demo(
            root=folder,
            minutes=_MINUTES if args.time_budget is None else args.time_budget,
            workers=args.workers,
            device=args.device,
            show=show,
        )
    _log.info("next, on your own data: autolv_convert folder SOURCE -d NAME (README.md, 'Your own data')")

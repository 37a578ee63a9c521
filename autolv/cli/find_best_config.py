"""``autolv_find_best_config``: the configuration or ensemble, and the post-processing, best on unseen patients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import add_common, add_dataset, add_device, add_run, add_seed, add_workers, new_parser
from autolv.cli.run import root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_find_best_config",
        "Score every trained configuration and ensemble on patients it has not seen, choose one and its "
        "post-processing, and put the model folder together.",
        "autolv_find_best_config -d Phantom",
    )
    add_dataset(parser)
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="CONFIGURATION",
        nargs="+",
        help="candidates to consider (default: all that are trained)",
    )
    parser.add_argument(
        "--measure-passes",
        metavar="CASES",
        type=int,
        nargs="?",
        const=20,
        help="also predict so many cases (default: %(const)s) with and without mirroring, to see what it gains, and time the "
        "levels of autolv_predict --quality",
    )
    parser.add_argument(
        "--no-report", action="store_true", help="write no report.html with curves, results by part and the worst cases"
    )
    add_run(parser)
    add_device(parser)
    add_seed(parser)
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _find)


def _find(args: argparse.Namespace) -> None:
    show_places(args)
    from autolv.pipeline.find_best_config import find_best_config
    from autolv.reporting.tables import candidates_table

    best = find_best_config(
        args.dataset,
        run=args.run,
        root=root_of(args),
        configurations=args.configuration,
        workers=args.workers,
        seed=args.seed,
        report=not args.no_report,
        device=args.device,
        measure_passes=args.measure_passes,
    )
    print(candidates_table(best))
    show_next(args, f"autolv_predict -i IMAGES -o OUTPUT -d {args.dataset}")

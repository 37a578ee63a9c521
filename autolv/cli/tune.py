"""``autolv_tune``: a search for better hyper-parameters, bounded in time; the same command goes on where it stopped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import (
    add_common,
    add_dataset,
    add_device,
    add_seed,
    add_time_budget,
    add_workers,
    count,
    new_parser,
)
from autolv.cli.bar import live_bar
from autolv.cli.run import root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_tune",
        "Search learning rate, weight decay, width, depth, patch, augmentation and the weights of the loss by short "
        "trainings, add the best to the plan, and compare it with the planned configuration on other folds.",
        "autolv_tune -d Phantom -c 2d_unet --time-budget 1h",
    )
    add_dataset(parser)
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="CONFIGURATION",
        help="the configuration to begin with (default: the one that the plan recommends)",
    )
    add_time_budget(parser, "time for everything, a search that was stopped before included", required=True)
    parser.add_argument(
        "--trials", metavar="N", type=count, help="trials to make (default: what the time allows); each is as long"
    )
    add_device(parser)
    add_seed(parser)
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _tune)


def _tune(args: argparse.Namespace) -> None:
    show_places(args)
    from autolv.pipeline.tune import tune
    from autolv.reporting.search import search_table

    with live_bar(args) as show:
        tuning = tune(
            args.dataset,
            time_budget_minutes=args.time_budget,
            configuration=args.configuration,
            trials=args.trials,
            root=root_of(args),
            device=args.device,
            workers=args.workers,
            seed=args.seed,
            show=show,
        )
    print(search_table(tuning))
    better = tuning.winner is not None and tuning.verdict is not None and tuning.verdict.better
    name = tuning.winner if better else tuning.study.configuration.name
    show_next(args, f"autolv_train -d {args.dataset} -c {name} -f all")

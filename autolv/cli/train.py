"""``autolv_train``: one configuration, one fold or all; the same command goes on where it stopped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import (
    add_common,
    add_dataset,
    add_device,
    add_overwrite,
    add_run,
    add_seed,
    add_time_budget,
    add_workers,
    count,
    fold,
    new_parser,
)
from autolv.cli.bar import live_bar
from autolv.cli.run import end_of_one_of_several, optional_path, root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_train",
        "Train a configuration on one fold or all, then predict and score the fold's validation patients. "
        "A finished fold is skipped, an interrupted one goes on.",
        "autolv_train -d Phantom -f all --time-budget 5m",
    )
    add_dataset(parser)
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="CONFIGURATION",
        help="{2d,3d}_{unet,attention_unet,vnet,resenc_unet}, or 3d_unet_iso where the plan proposes it (default: the one "
        "that the plan recommends)",
    )
    parser.add_argument(
        "-f", "--fold", metavar="FOLD", type=fold, default=0, help="0, 1, ... or all, one after another (default: 0)"
    )
    add_run(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", metavar="N", type=count, help="epochs per fold (default: the plan's)")
    add_time_budget(length, "training time per fold")
    parser.add_argument(
        "--augment",
        metavar="PRESET",
        help="vendor-robust (for scanners and orientations that the training set lacks), upright (the set's own orientations), "
        "default (any orientation), nnunet or none (default: the plan's, vendor-robust for thick slices)",
    )
    parser.add_argument(
        "--init-from",
        metavar="FOLDER",
        help="begin from the weights of a model folder or of a fold's folder, as far as they fit (default: fresh ones)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="auto times a few steps and takes the fastest; a fixed one makes equal seeds give equal weights",
    )
    parser.add_argument(
        "--layout",
        choices=("auto", "contiguous", "channels_last"),
        default="auto",
        help="how tensors lie in memory; auto is timed together with the precision",
    )
    parser.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto", help="torch.compile; auto tries it on long runs"
    )
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="only kernels that give the same bits each time, so that on a GPU, too, a run that is resumed ends like one "
        "that never stopped; slower",
    )
    parser.add_argument(
        "--retry-trial",
        action="store_true",
        help="time the ways to take steps again, though the workspace remembers the fastest for this machine and network",
    )
    parser.add_argument(
        "--log",
        choices=("tensorboard",),
        help="keep the history as TensorBoard's event files too (an extra: pip install tensorboard)",
    )
    add_device(parser)
    add_overwrite(parser, "train a fold anew that exists")
    add_seed(parser)
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return end_of_one_of_several(run(build_parser(), argv, _train))


def _train(args: argparse.Namespace) -> None:
    show_places(args)
    from autolv.pipeline.train import train

    with live_bar(args) as show:
        train(
            args.dataset,
            configuration=args.configuration,
            fold=args.fold,
            run=args.run,
            root=root_of(args),
            device=args.device,
            workers=args.workers,
            seed=args.seed,
            epochs=args.epochs,
            time_budget_minutes=args.time_budget,
            augment=args.augment,
            init_from=optional_path(args.init_from),
            precision=args.precision,
            compile=args.compile,
            layout=args.layout,
            retry_trial=args.retry_trial,
            deterministic=args.deterministic,
            overwrite=args.overwrite,
            log=args.log,
            show=show,
        )
    show_next(args, f"autolv_find_best_config -d {args.dataset}")

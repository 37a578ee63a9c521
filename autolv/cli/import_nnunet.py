"""``autolv_import_nnunet``: a model trained by nnU-Net v2 becomes one that ``autolv_predict`` takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from autolv.cli.arguments import add_common, add_dataset, add_overwrite, add_run, codes, folds, new_parser
from autolv.cli.run import root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_import_nnunet",
        "Make a model folder of a plain or residual-encoder U-Net, 2D or 3D, that nnU-Net v2 has trained. Predictions "
        "with it are nnU-Net's own. MODEL_FOLDER is only read; nothing in it is executed.",
        "autolv_import_nnunet nnUNet_results/Dataset027_ACDC/nnUNetTrainer__nnUNetPlans__2d -d ACDC",
    )
    parser.add_argument(
        "model_folder", metavar="MODEL_FOLDER", help="with plans.json, dataset.json and fold_K/checkpoint_final.pth"
    )
    add_dataset(parser, text="the dataset under whose name the model is kept")
    parser.add_argument(
        "--labels",
        metavar="NAME=CODE,...",
        type=codes,
        help="the labels' codes: rv_cavity=1,lv_myocardium=2,lv_cavity=3",
    )
    parser.add_argument(
        "-f", "--fold", metavar="FOLD", type=folds, help="0, or 0,1,2, or all that are there (default: all)"
    )
    parser.add_argument(
        "--checkpoint",
        choices=("final", "best"),
        default="final",
        help="which checkpoint of each fold (default: final, as nnUNetv2_predict)",
    )
    add_run(parser)
    add_overwrite(parser, "replace a model that stands there")
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _import)


def _import(args: argparse.Namespace) -> None:
    show_places(args, model_folder=args.model_folder)
    from autolv.pipeline.import_nnunet import import_nnunet

    import_nnunet(
        Path(args.model_folder).expanduser(),
        args.dataset,
        run=args.run,
        root=root_of(args),
        labels=args.labels,
        folds=args.fold,
        checkpoint=args.checkpoint,
        overwrite=args.overwrite,
    )
    show_next(args, f"autolv_predict -i IMAGES -o OUTPUT -d {args.dataset}")

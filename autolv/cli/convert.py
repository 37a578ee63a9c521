"""``autolv_convert``: a source in any known layout becomes a raw dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import (
    add_common,
    add_dataset,
    add_overwrite,
    add_seed,
    add_workers,
    codes,
    count,
    new_parser,
    whole,
)
from autolv.cli.run import optional_path, root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_convert",
        "Turn a folder of images and labels into raw_data/DATASET (nnU-Net's raw layout, and cases.csv). "
        "SOURCE is only read.",
        "autolv_convert phantom -d Phantom --patients 6 --frames 4",
    )
    parser.add_argument("kind", metavar="KIND", help="layout of the source: acdc, nnunet, folder, phantom")
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="the source's folder (phantom: none)")
    add_dataset(parser)
    parser.add_argument(
        "--labels",
        metavar="NAME=CODE,...",
        type=codes,
        help="the labels' codes: rv_cavity=1,lv_myocardium=2,lv_cavity=3",
    )
    parser.add_argument("--image-pattern", metavar="PATTERN", help="folder: image files, e.g. 'images/{case}.nii.gz'")
    parser.add_argument(
        "--label-pattern", metavar="PATTERN", help="folder: label files, e.g. 'labels/{case}_seg.nii.gz'"
    )
    parser.add_argument("--csv", metavar="FILE", help="folder: a table with columns image, label, patient")
    parser.add_argument(
        "--patient-pattern", metavar="REGEX", help="finds the patient in a case's name, e.g. '(patient[0-9]+)'"
    )
    parser.add_argument(
        "--allow-missing", action="store_true", help="acdc: leave out training frames whose label map is missing"
    )
    parser.add_argument("--patients", metavar="N", type=count, default=20, help="phantom: to train on (default: 20)")
    parser.add_argument("--test-patients", metavar="N", type=whole, default=0, help="phantom: kept apart (default: 0)")
    parser.add_argument("--frames", metavar="N", type=count, help="phantom: per cine")
    parser.add_argument(
        "--preset",
        choices=("default", "vendor_a", "vendor_b", "vendor_c", "vendor_d", "mixed"),
        default="default",
        help="phantom: the scanner's look; mixed takes the vendors in turn (default: default)",
    )
    add_overwrite(parser, "replace a dataset of that name")
    add_seed(parser)
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = build_parser()

    def work(args: argparse.Namespace) -> None:
        if args.source is None and args.kind != "phantom":
            parser.error(
                f"SOURCE, the folder to convert, is missing: autolv_convert {args.kind} SOURCE -d {args.dataset}"
            )
        _convert(args)

    return run(parser, argv, work)


def _convert(args: argparse.Namespace) -> None:
    show_places(args, source=args.source)
    from autolv.pipeline.convert import convert

    convert(
        args.kind,
        "-" if args.source is None else optional_path(args.source) or "",
        dataset=args.dataset,
        root=root_of(args),
        workers=args.workers,
        overwrite=args.overwrite,
        seed=args.seed,
        labels=args.labels,
        image_pattern=args.image_pattern,
        label_pattern=args.label_pattern,
        table=optional_path(args.csv),
        patient_pattern=args.patient_pattern,
        allow_missing=args.allow_missing,
        patients=args.patients,
        test_patients=args.test_patients,
        frames=args.frames,
        preset=args.preset,
    )
    show_next(args, f"autolv_plan_and_preprocess -d {args.dataset}")

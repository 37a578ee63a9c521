"""``autolv_report``: label maps in, volumes, function and a page per patient out."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from autolv.cli.arguments import add_common, add_dataset, add_overwrite, add_workers, codes, new_parser
from autolv.cli.report_flags import add_report_flags, report_options
from autolv.cli.run import optional_path, root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_report",
        "Read volumes, function, the volume curve and wall thickness out of label maps, and write a page per patient.",
        "autolv_report -i predictions -d Phantom -o report",
    )
    parser.add_argument("-i", "--input", metavar="IN", required=True, help="a label map (frame or cine), or a folder of them")  # fmt: skip  # noqa: E501
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the folder to write to")
    add_dataset(
        parser, required=False, text="the dataset whose codes, phases, heights and weights hold (default: found beside)"
    )
    parser.add_argument("--labels", metavar="NAME=CODE,...", type=codes, help="the labels' codes: rv_cavity=1,lv_myocardium=2,lv_cavity=3")  # fmt: skip  # noqa: E501
    parser.add_argument(
        "--images", metavar="IMAGES", help="an image, or the folder of those of the same names, to show"
    )
    add_report_flags(parser)
    add_overwrite(parser, "replace a report that is there")
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _report)


def _report(args: argparse.Namespace) -> None:
    show_places(args, labels=args.input, images=args.images, output=args.output)
    from autolv.pipeline.report import report

    report(
        Path(args.input).expanduser(),
        Path(args.output).expanduser(),
        dataset=args.dataset,
        root=root_of(args),
        labels=args.labels,
        images=optional_path(args.images),
        options=report_options(args),
        overwrite=args.overwrite,
        workers=args.workers,
    )
    show_next(args, f"autolv_evaluate -r REFERENCE -p {shlex.quote(args.input)}", takes_run=False)

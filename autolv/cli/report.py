"""``autolv_report``: label maps in, volumes, function and a page per patient out."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from autolv.cli.arguments import add_common, add_dataset, add_overwrite, add_workers, codes, count, new_parser, positive
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
    parser.add_argument(
        "-r", "--reference", metavar="REF",
        help="label maps of the same names to compare with (default: those of -d DATASET, where it has them)",
    )  # fmt: skip
    parser.add_argument(
        "--basal-rule", choices=("as_segmented", "ring50", "valve_plane"), default="as_segmented",
        help="where the LV ends at the base (default: as_segmented)",
    )  # fmt: skip
    parser.add_argument(
        "--valve-planes", metavar="TABLE", help="CSV: case, frame, x1_mm ... z2_mm, two points of the mitral annulus"
    )
    parser.add_argument(
        "--papillary-rule", choices=("in_cavity", "in_mass"), default="in_cavity",
        help="where papillary muscles count; in_mass looks for them in the images (default: in_cavity)",
    )  # fmt: skip
    parser.add_argument(
        "--density", metavar="G_PER_ML", type=positive, default=1.05, help="of myocardium, in g/ml (default: 1.05)"
    )
    parser.add_argument(
        "--bsa", choices=("mosteller", "dubois", "haycock"), default="mosteller",
        help="formula of the body surface area (default: mosteller)",
    )  # fmt: skip
    parser.add_argument("--ed", metavar="FRAME", type=count, help="frame of end-diastole, from 1 (one patient only)")
    parser.add_argument("--es", metavar="FRAME", type=count, help="frame of end-systole, from 1 (one patient only)")
    parser.add_argument("--pdf", action="store_true", help="also write each page as PDF: two pages of A4")
    parser.add_argument("--png", action="store_true", help="also write each page as one picture")
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
        reference=optional_path(args.reference),
        basal_rule=args.basal_rule,
        papillary_rule=args.papillary_rule,
        valve_planes=optional_path(args.valve_planes),
        density_g_per_ml=args.density,
        bsa_formula=args.bsa,
        ed_frame=args.ed,
        es_frame=args.es,
        pdf=args.pdf,
        png=args.png,
        overwrite=args.overwrite,
        workers=args.workers,
    )
    show_next(args, f"autolv_evaluate -r REFERENCE -p {shlex.quote(args.input)}", takes_run=False)

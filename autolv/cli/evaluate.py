"""``autolv_evaluate``: label maps against reference label maps."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from autolv.cli.arguments import add_common, add_dataset, add_overwrite, add_workers, codes, new_parser
from autolv.cli.run import optional_path, root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_evaluate",
        "Compare label maps with references of the same names: overlap, surface distances, volumes, EF, mass.",
        "autolv_evaluate -r raw_data/Phantom/labelsTr -p predictions",
    )
    parser.add_argument("-r", "--reference", metavar="REF", required=True, help="a label map, or a folder of them")
    parser.add_argument("-p", "--prediction", metavar="PRED", required=True, help="a label map, or a folder of them")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="a folder for evaluation.json, cases.csv, patients.csv and agreement.svg"
    )
    add_dataset(
        parser, required=False, text="the dataset whose codes and phases hold (default: found beside REF or PRED)"
    )
    parser.add_argument(
        "--labels",
        metavar="NAME=CODE,...",
        type=codes,
        help="the labels' codes: rv_cavity=1,lv_myocardium=2,lv_cavity=3",
    )
    parser.add_argument(
        "--table",
        choices=("full", "acdc"),
        default="full",
        help="what is printed; acdc: the challenge's own rows (default: full)",
    )
    parser.add_argument(
        "--readout",
        action="store_true",
        help="also how far EDV, ESV, SV, EF, mass and RV volumes agree by patient: r, ICC(2,1), bias, SD, limits of agreement, "
        "MAE, each with its interval, beside published readers (readout_agreement.csv, .json, .svg). "
        "Reader A against reader B is the same command: -r A -p B",
    )
    parser.add_argument("--no-figure", action="store_true", help="write no drawings of the agreement to OUT")
    parser.add_argument("--allow-missing", action="store_true", help="leave out references that have no prediction")
    add_overwrite(parser, "replace an evaluation that is there")
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    show_places(args, reference=args.reference, prediction=args.prediction, output=args.output)
    from autolv.pipeline.evaluate import evaluate
    from autolv.reporting.tables import acdc_table, evaluation_table

    evaluation = evaluate(
        Path(args.reference).expanduser(),
        Path(args.prediction).expanduser(),
        output=optional_path(args.output),
        dataset=args.dataset,
        root=root_of(args),
        labels=args.labels,
        overwrite=args.overwrite,
        allow_missing=args.allow_missing,
        figure=not args.no_figure,
        readout=args.readout,
        workers=args.workers,
    )
    print(acdc_table(evaluation) if args.table == "acdc" else evaluation_table(evaluation))
    if args.readout:
        from autolv.evaluation.readers import readout_agreement
        from autolv.reporting.readers import readers_table

        print(f"\n{readers_table(readout_agreement(evaluation.cases))}")
    show_next(args, _next(args))


def _next(args: argparse.Namespace) -> str:
    """Return the same command with a folder to write to; where it had one, the command that segments what has no reference."""
    if args.output is None:
        words = ["autolv_evaluate", "-r", args.reference, "-p", args.prediction, "-o", "evaluation"]
        words += ["-d", args.dataset] if args.dataset else []
        words += ["--labels", ",".join(f"{name}={code}" for name, code in args.labels.items())] if args.labels else []
        words += ["--table", args.table] if args.table != "full" else []
        words += ["--readout"] if args.readout else []
        words += ["--allow-missing"] if args.allow_missing else []
        return shlex.join(words)
    folder = Path(args.reference).expanduser().resolve().parent
    found = folder.name if folder.parent.name == "raw_data" else "DATASET"
    return f"autolv_predict -i IMAGES -o OUTPUT -d {shlex.quote(args.dataset or found)}"

"""``autolv_predict``: frames or whole cines, one or thousands, in; label maps on the input's own grid out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from autolv.cli.arguments import (
    add_common,
    add_dataset,
    add_device,
    add_overwrite,
    add_run,
    folds,
    frame_numbers,
    new_parser,
    shard,
    whole,
)
from autolv.cli.report_flags import add_report_flags, report_flags_given, report_options
from autolv.cli.run import optional_path, root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_predict",
        "Segment frames and cines with the chosen model of a dataset or with a model folder. The same command again goes "
        "on where it was stopped.",
        "autolv_predict -i raw_data/Phantom/imagesTr -o predictions -d Phantom",
    )
    parser.add_argument(
        "-i",
        "--input",
        metavar="IN",
        required=True,
        help="an image, a folder or tree of them, a pattern ('scans/*/*_4d.nii.gz'), or a table (.csv) with a column image",
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the folder to write to")
    add_dataset(parser, required=False, text="the dataset whose chosen model is used")
    parser.add_argument("--model", metavar="FOLDER", help="a model folder, in place of -d")
    parser.add_argument(
        "-c",
        "--configuration",
        metavar="CONFIGURATION",
        help="use the trained folds of this configuration, not the choice; with --model: its members of it",
    )
    parser.add_argument(
        "-f",
        "--fold",
        metavar="FOLD",
        type=folds,
        help="with -c or --model: 0, or 0,1,2, or all that are there (default: all)",
    )
    parser.add_argument(
        "--quality",
        choices=("fast", "balanced", "best"),
        help="how much work a frame is worth: one network, all of the choice, or with mirroring where that was measured to "
        "gain (autolv_find_best_config --measure-passes); in place of -c, -f and --mirror",
    )
    add_run(parser)
    parser.add_argument(
        "--frames", metavar="N", type=frame_numbers, help="only these frames of each cine: 1,12 or 1-10"
    )
    parser.add_argument(
        "--shard", metavar="I/N", type=shard, help="only the I-th of N parts of the inputs: one for each machine"
    )
    parser.add_argument("--save-probabilities", action="store_true", help="also write an .npz per input")
    parser.add_argument(
        "--mirror",
        choices=("auto", "on", "off"),
        default="auto",
        help="average over in-plane mirrorings: four times the work (default: auto, the way the model was scored)",
    )
    parser.add_argument(
        "--whole-field", action="store_true", help="predict all of each image, not about the heart, found first"
    )
    parser.add_argument("--no-postprocessing", action="store_true", help="leave the networks' labels as they are")
    parser.add_argument(
        "--skip-existing", action="store_true", help="keep results that are there, however they were made"
    )
    parser.add_argument(
        "--report", action="store_true", help="also read volumes and function out, and write pages to OUT/report"
    )
    add_report_flags(parser.add_argument_group("with --report"))
    add_overwrite(parser, "predict all anew and replace results that are there")
    add_device(parser)
    parser.add_argument(
        "--workers",
        metavar="N",
        type=whole,
        help="CPU threads; files go one by one (default, and 0: the cores granted)",
    )
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = build_parser()
    parser.set_defaults(run=None)  # so that --run is known to have been given

    def work(args: argparse.Namespace) -> None:
        _refuse_contradictions(parser, args)
        args.run = "default" if args.run is None else args.run
        _predict(args)

    return run(parser, argv, work)


def _refuse_contradictions(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.dataset is None and args.model is None:
        parser.error("give -d DATASET or --model FOLDER")
    if args.model is not None and args.dataset is not None:
        parser.error("--model names the model: leave out -d")
    if args.model is not None and args.run is not None:
        parser.error("--model names the model: leave out --run")
    if args.fold is not None and args.configuration is None and args.model is None:
        parser.error("-f needs -c or --model: without them the chosen model's own members are used")
    flags = report_flags_given(args)
    if flags and not args.report:
        need = "needs" if len(flags) == 1 else "need"
        parser.error(f"{', '.join(flags)} {need} --report: without it no report is written")


def _predict(args: argparse.Namespace) -> None:
    show_places(args, input=args.input, output=args.output, model=args.model)
    wanted = report_options(args) if args.report else False
    from autolv.pipeline.predict import predict

    predict(
        Path(args.input).expanduser(),
        Path(args.output).expanduser(),
        dataset=args.dataset,
        model=optional_path(args.model),
        run=args.run,
        root=root_of(args),
        device=args.device,
        workers=args.workers,
        configuration=args.configuration,
        folds=args.fold,
        save_probabilities=args.save_probabilities,
        mirror=args.mirror,
        quality=args.quality,
        postprocess=not args.no_postprocessing,
        whole_field=args.whole_field,
        frames=args.frames,
        shard=args.shard,
        overwrite=args.overwrite,
        skip_existing=args.skip_existing,
        report=wanted,
    )
    show_next(args, _next(args), takes_run=False)


def _next(args: argparse.Namespace) -> str:
    """Return the command that scores what was predicted, with the reference's folder where its place is known."""
    from shlex import quote

    source = Path(args.input)
    reference = source.parent / source.name.replace("images", "labels")
    known = source.is_dir() and reference.is_dir() and reference != source
    return f"autolv_evaluate -r {quote(str(reference)) if known else 'REFERENCE'} -p {quote(args.output)}"

"""Evaluating and choosing beside nnU-Net 2.8.1: the same predictions of the same cases, in turn.

    python benchmarks/evaluation.py --acdc ACDC/training --out evaluation.json
    python benchmarks/evaluation.py --quick                    # phantoms, few cases, one round: does it run?

Nothing is trained: the predictions of two configurations are the references, disturbed in a seeded way (shifted, eroded,
with islands, blurred and noisy at the edges), written by each tool's own writers as its validation leaves them: labels and
class probabilities of five folds by patient, the same folds and voxels for both.

``evaluate``: ``autolv_evaluate`` with all it computes (HD95, ASSD and surface Dice among it, tables written, the agreement
drawn) beside ``nnUNetv2_evaluate_folder`` (Dice and IoU), by default (8 processes) and with ``-np 2``.
``find best configuration``: ``autolv_find_best_config`` beside ``nnUNetv2_find_best_configuration``, both on two
configurations, their ensemble and its post-processing; autolv also copies and hashes the weights of the chosen folds.

Whole commands, imports and all. Printed: medians of the rounds, and the ratio as the median of the rounds' ratios. Peak memory
is that of the whole process tree, shared pages counted once, in a round of its own. Linux only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from beside_nnunet.commands import HEAD, Stage, in_turn, own_environment, peer_environment, rows
from beside_nnunet.predictions import RUN, Peer, write_all
from beside_nnunet.report import table
from beside_nnunet.short import ROOT, arguments, conclude, link_for_peer, machine, parser_of, peer_of, small_dataset

from autolv.core.errors import AutolvError
from autolv.core.workspace import Workspace
from autolv.pipeline.plan_and_preprocess import plan_and_preprocess
from autolv.schema.record import read_record
from autolv.schema.splits import Splits

_NAMES = {"2d_unet": "2d", "3d_unet": "3d_fullres"}


def main() -> None:
    """Run what the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--no-default", action="store_true", help="leave out nnU-Net with its default of 8 processes")
    args = arguments(parser)
    try:
        result = _compare(args)
    except AutolvError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
    conclude(args, result)


def _compare(args: argparse.Namespace) -> dict[str, Any]:
    known = machine()
    python, work = peer_of(args), args.work.expanduser().resolve()
    folder, dataset, root = small_dataset(work, args.acdc, args.patients)
    peer_place, name = work / "nnunet", link_for_peer(work, folder)
    environment = peer_environment(python, peer_place, ROOT / "benchmarks")
    own = own_environment(ROOT)
    plan = plan_and_preprocess(dataset.name, root=root, device="cpu", time_budget_minutes=12.0, overwrite=True)
    splits = read_record(Splits, Workspace.at(root).splits_file(dataset.name))
    peer = Peer(python, environment, name)
    preprocessed, results = (peer_place / kind / name for kind in ("preprocessed", "results"))
    if not (preprocessed / "nnUNetPlans.json").exists():
        peer.run([str(python.with_name("nnUNetv2_plan_and_preprocess")), "-d", name[7:10], "--no_pp", "-npfp", "2"])
    write_all(root, folder, dataset, plan, splits, _NAMES, peer)

    def binary(command: str) -> str:
        return str(Path(sys.executable).with_name(command))

    def peers(command: str, *flags: str) -> list[str]:
        return [str(python.with_name(command)), *flags]

    # one configuration's labels, five folds together, for both
    labels, references, out = root / "predictions_2d_unet", folder / "labelsTr", root / "evaluation"
    shown = [binary("autolv_evaluate"), "-r", str(references), "-p", str(labels), "-o", str(out), "--overwrite"]
    files = ["-djfile", str(preprocessed / "dataset.json"), "-pfile", str(preprocessed / "nnUNetPlans.json")]
    summary = ["-o", str(peer_place / "summary.json")]
    evaluating = peers("nnUNetv2_evaluate_folder", str(references), str(labels), *files, *summary)
    finding = [binary("autolv_find_best_config"), "-d", dataset.name, "--run", RUN, "--root", str(root), "-c", *_NAMES]
    folds = [str(number) for number in range(len(splits.folds))]
    choosing = peers("nnUNetv2_find_best_configuration", name[7:10], "-c", *_NAMES.values(), "-f", *folds)

    def clear_own() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(Workspace.at(root).model(dataset.name, RUN), ignore_errors=True)

    def clear_peer() -> None:
        for made in (*results.glob("*/crossval_results*"), results / "ensembles"):
            shutil.rmtree(made, ignore_errors=True)

    def stages(command: list[str], peer_command: list[str]) -> list[Stage]:
        own_way = Stage("autolv", [command], own, clear_own)
        default = Stage("nnunet", [peer_command], environment, clear_peer)
        two = Stage("nnunet -np 2", [[*peer_command, "-np", "2"]], environment, clear_peer)
        return [own_way, two] if args.quick or args.no_default else [own_way, default, two]

    result: dict[str, Any] = {"machine": known, "cases": len(dataset.training), "stages": {}}
    lines = [HEAD]
    for stage, measured in (
        ("evaluate", stages(shown, evaluating)),
        ("find best configuration", stages(finding, choosing)),
    ):
        found = in_turn(measured, args.rounds, work / "command.log")
        result["stages"][stage] = found
        lines += rows(f"{stage}, {len(dataset.training)} cases", found, list(found)[1:])
    result["table"] = lines
    print(f"\n{table(lines)}", flush=True)
    return result


if __name__ == "__main__":
    main()

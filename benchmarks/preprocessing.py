"""Fingerprint, plan and preprocessing beside nnU-Net 2.8.1: the same 40 frames, two configurations, in turn.

    python benchmarks/preprocessing.py --acdc ACDC/training --out preprocessing.json
    python benchmarks/preprocessing.py --quick                 # phantoms, few cases, one round: does it run?

``autolv_plan_and_preprocess`` (check of all cases, fingerprint, plan, splits, cache) beside
``nnUNetv2_plan_and_preprocess --verify_dataset_integrity`` with the configurations 2d and 3d_fullres, by default (8 and 8, 4
processes) and with 2 processes each. Both begin with nothing but the raw dataset, in nnU-Net's layout, which both read.
autolv's configurations of two and of three dimensions see the same arrays, which are thus made and stored once; nnU-Net makes
two sets, and interpolates slices for the one in three dimensions.

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
from beside_nnunet.report import table
from beside_nnunet.short import ROOT, arguments, conclude, link_for_peer, machine, parser_of, peer_of, small_dataset

from autolv.core.errors import AutolvError

_CONFIGURATIONS = ("2d", "3d_fullres")


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
    # a workspace of its own, since both tools' plans are taken away before each round
    python, work = peer_of(args), args.work.expanduser().resolve() / "preprocessing"
    folder, dataset, root = small_dataset(work, args.acdc, args.patients)
    name, place = link_for_peer(work, folder), work / "nnunet"
    environment = peer_environment(python, place, ROOT / "benchmarks")
    ours = [str(Path(sys.executable).with_name("autolv_plan_and_preprocess")), "-d", dataset.name, "--root", str(root),
            "--device", "cpu", "--time-budget", "12m"]  # fmt: skip
    theirs = [str(python.with_name("nnUNetv2_plan_and_preprocess")), "-d", name[7:10], "--verify_dataset_integrity",
              "-c", *_CONFIGURATIONS]  # fmt: skip

    def clear_own() -> None:
        for made in ("plans", "preprocessed"):
            shutil.rmtree(root / made, ignore_errors=True)

    def clear_peer() -> None:
        shutil.rmtree(place / "preprocessed" / name, ignore_errors=True)

    stages = [
        Stage("autolv", [ours], own_environment(ROOT), clear_own),
        Stage("nnunet", [[*theirs, "-np", "8", "4"]], environment, clear_peer),
        Stage("nnunet -np 2", [[*theirs, "-npfp", "2", "-np", "2", "2"]], environment, clear_peer),
    ]
    chosen = [one for one in stages if one.tool != "nnunet" or not (args.quick or args.no_default)]
    found = in_turn(chosen, args.rounds, work / "command.log")
    stored = {"autolv": root / "preprocessed", "nnU-Net": place / "preprocessed" / name}
    size_mib = {tool: round(_mib(path), 1) for tool, path in stored.items()}
    frames = f"{len(dataset.training)} frames"
    lines = [HEAD, *rows(f"fingerprint, plan, preprocess, {frames}", found, [one.tool for one in chosen[1:]])]
    print(f"\n{table(lines)}\nstored: {size_mib} MiB", flush=True)
    return {"machine": known, "frames": len(dataset.training), "found": found, "stored_mib": size_mib, "table": lines}


def _mib(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


if __name__ == "__main__":
    main()

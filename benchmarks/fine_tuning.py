"""Few cases of a new scanner (or pathology): a network begun from a trained one against one from scratch.

    python benchmarks/fine_tuning.py --work DIR
    python benchmarks/fine_tuning.py --work DIR --acdc ACDC/training --group HCM

On phantoms the old scanner is vendor A and the new one vendor B, of other contrast, noise and coil; on ACDC the old
patients are those of four groups, the new ones those of --group. A fold of the old ones is trained with an eighth of
them held out, then the new ones are cross-validated in two halves: trained on one, scored on the other, from
scratch and begun from the old network (``autolv_train --init-from``), each for the same number of steps. All by the same
plan, the old patients'; with --begin-from their network is there already, and its configuration is taken. Dice is the
mean over the patients of both halves, as validated by ``autolv_train``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import autolv
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import Evaluation, RunRecord

_OLD, _NEW = "Old", "New"
_OLD_PATIENTS, _NEW_PATIENTS = 16, 8
_SPACING_MM = (8.0, 2.0, 2.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and print the table."""
    args = _arguments(argv)
    old, new = _acdc(args) if args.acdc else _phantoms(args.work / "source")
    for name, source, folds in ((_OLD, old, 8), (_NEW, new, 2)):
        autolv.convert("acdc", source, dataset=name, root=args.work)
        autolv.plan_and_preprocess(
            name, root=args.work, device=args.device, time_budget_minutes=args.minutes, folds=folds
        )
    workspace = Workspace.at(args.work)
    plan = read_record(Plan, workspace.plan_file(_OLD)).model_copy(update={"dataset": _NEW})
    if args.begin_from is not None:
        known = read_record(RunRecord, args.begin_from / "run.json").configuration
        plan = plan.model_copy(update={"configurations": {known.name: known}, "recommended": known.name, "tuned": {}})
    write_record(plan, workspace.plan_file(_NEW))
    autolv.plan_and_preprocess(_NEW, root=args.work)
    configuration = plan.recommended
    print(
        f"{configuration}: {args.begin_from or f'{args.old_epochs} epochs on the old patients'}, then half of the new ones"
    )
    begun_from = args.begin_from
    if begun_from is None:
        (begun_from,) = autolv.train(
            _OLD, configuration=configuration, fold=0, root=args.work, epochs=args.old_epochs, device=args.device
        )
    rows = []
    for epochs in args.epochs:
        for how, start in (("from scratch", None), ("from the old network", begun_from)):
            places = autolv.train(
                _NEW, configuration=configuration, fold="all", run=f"{how.replace(' ', '_')}_{epochs}", root=args.work,
                epochs=epochs, init_from=start, device=args.device,
            )  # fmt: skip
            rows.append([str(epochs), how, *_scores(places)])
            print(" | ".join(rows[-1]), flush=True)
    print("\n| epochs | network | LV | myocardium | RV | mean |\n|---|---|---|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--acdc", type=Path, metavar="FOLDER", help="ACDC's training patients, in place of phantoms")
    parser.add_argument("--group", default="HCM", help="of ACDC, the new patients (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, help="that the plan is made for (default: %(default)s)")
    parser.add_argument("--old-epochs", type=int, default=12, help="on the old patients (default: %(default)s)")
    parser.add_argument(
        "--begin-from", type=Path, metavar="FOLD", help="a fold's folder, trained on the old patients alone"
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 8], help="on the new (default: 2 8)")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args(argv)
    if args.work.exists() and any(args.work.iterdir()):
        parser.error(f"{args.work} is not empty")
    return args


def _phantoms(folder: Path) -> tuple[Path, Path]:
    spec = PhantomSpec(spacing_mm=_SPACING_MM)
    old, new = folder / "vendor_a", folder / "vendor_b"
    for tree, patients, seed in ((old, _OLD_PATIENTS, 11), (new, _NEW_PATIENTS, 12)):
        write_acdc_tree(tree, patients=patients, preset=tree.name, spec=spec, seed=seed, cines=False)
    return old / "training", new / "training"


def _acdc(args: argparse.Namespace) -> tuple[Path, Path]:
    """Return two folders with copies of the patients without and with the group."""
    folders = args.work / "source" / "others", args.work / "source" / args.group
    for patient in sorted(p for p in args.acdc.iterdir() if (p / "Info.cfg").exists()):
        member = f"Group: {args.group}" in (patient / "Info.cfg").read_text(encoding="utf-8")
        shutil.copytree(patient, folders[member] / patient.name)
    if not folders[1].exists():
        sys.exit(f"error: no patient in {args.acdc} is of group {args.group}")
    return folders


def _scores(places: Sequence[Path]) -> list[str]:
    evaluations = [read_record(Evaluation, place / "evaluation.json") for place in places]
    means = {
        name: np.nanmean([case.structures[name].dice for one in evaluations for case in one.cases])
        for name in evaluations[0].summary
    }
    return [f"{value:.3f}" for value in (*means.values(), np.mean(list(means.values())))]


if __name__ == "__main__":
    raise SystemExit(main())

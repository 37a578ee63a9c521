"""``autolv_plan_and_preprocess``: check, fingerprint, plan, splits, and the preprocessed cache."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import (
    add_common,
    add_dataset,
    add_device,
    add_overwrite,
    add_seed,
    add_time_budget,
    add_workers,
    count,
    new_parser,
    positive,
)
from autolv.cli.run import root_of, run, show_next, show_places


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_plan_and_preprocess",
        "Check the dataset, measure it, write its plan and splits, and preprocess its cases.",
        "autolv_plan_and_preprocess -d Phantom --time-budget 5m --explain",
    )
    add_dataset(parser)
    add_device(parser)
    parser.add_argument("--memory-gb", metavar="GB", type=positive, help="memory to plan for (default: what is there)")
    add_time_budget(parser, "training time per fold to plan for")
    parser.add_argument("--folds", metavar="N", type=_folds, help="folds by patient (default: 5)")
    parser.add_argument(
        "--split-by",
        choices=("patient", "group", "vendor", "centre"),
        help="leave out folds of patients, or one group, vendor or centre in turn (default: patient)",
    )
    parser.add_argument(
        "--patient-pattern", metavar="REGEX", help="finds the patient in a case's name, e.g. '(patient[0-9]+)'"
    )
    parser.add_argument("--explain", action="store_true", help="print the reason of every number in the plan")
    add_overwrite(parser, "replace a plan and splits that exist")
    add_seed(parser)
    add_workers(parser)
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _plan)


def _folds(text: str) -> int:
    """Return a whole number of at least 2: what one fold validates, the others train on."""
    if count(text) < 2:
        raise argparse.ArgumentTypeError(f"there must be at least 2 folds, got {text}")
    return count(text)


def _plan(args: argparse.Namespace) -> None:
    show_places(args)
    from autolv.pipeline.plan_and_preprocess import plan_and_preprocess
    from autolv.planning.explain import explain

    plan = plan_and_preprocess(
        args.dataset,
        root=root_of(args),
        device=args.device,
        memory_gb=args.memory_gb,
        time_budget_minutes=args.time_budget,
        workers=args.workers,
        seed=args.seed,
        folds=args.folds,
        split_by=args.split_by,
        patient_pattern=args.patient_pattern,
        overwrite=args.overwrite,
    )
    if args.explain:
        print(explain(plan))
    minutes = plan.compute.time_budget_minutes
    budget = "" if minutes is None else f" --time-budget {minutes:g}m"
    show_next(args, f"autolv_train -d {args.dataset} -f all{budget}")

"""Train variants of a planned configuration for the same number of iterations, and tabulate their scores.

Each variant is the plan's configuration with some of its numbers changed. It is trained and validated by the
ordinary pipeline in a workspace of its own below --out, which shares raw data and preprocessed cases with --root.

    python benchmarks/search.py --root . -d ACDC -c 2d_unet --out /tmp/search --iterations 1200 --folds 1 2 \\
        --variant "plan" --variant "three slices: network.in_channels=3"

A variant is a name and, after a colon, PATH=VALUE pairs (JSON values) divided by spaces. What is finished is not
done again. The table is --out/table.csv: one row per variant and fold, Dice on whole volumes of the validation patients.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import autolv
from autolv.core.workspace import Workspace
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import Evaluation, RunRecord

_EPOCHS = 10


def main() -> None:
    """Run what the command line asks for."""
    arguments = _arguments()
    plan = read_record(Plan, Workspace.at(arguments.root).plan_file(arguments.dataset))
    rows = []
    for text in arguments.variant:
        name, _, changes = text.partition(":")
        root = _workspace(arguments, name)
        configuration = _changed(plan.configurations[arguments.configuration], changes.split(), arguments.iterations)
        write_record(
            plan.model_copy(update={"configurations": {arguments.configuration: configuration}}),
            Workspace.at(root).plan_file(arguments.dataset),
        )
        for fold in arguments.folds:
            (place,) = autolv.train(
                arguments.dataset, configuration=arguments.configuration, fold=fold, root=root, epochs=_EPOCHS,
                seed=arguments.seed, precision=arguments.precision, compile=arguments.compile, device=arguments.device,
            )  # fmt: skip
            rows.append(_row(name, changes.strip(), place))
            _write(arguments.out / "table.csv", rows)
            print(" | ".join(str(value) for value in rows[-1].values()), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("-d", "--dataset", required=True)
    parser.add_argument("-c", "--configuration", default="2d_unet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--folds", type=int, nargs="+", default=[1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--compile", default="off", choices=["off", "on"])
    parser.add_argument("--variant", action="append", required=True, help='"NAME: PATH=VALUE ..."')
    return parser.parse_args()


def _workspace(arguments: argparse.Namespace, name: str) -> Path:
    """Return a workspace for a variant, with the raw data and the preprocessed cases of the given one."""
    root: Path = arguments.out / name.strip().replace(" ", "_")
    root.mkdir(parents=True, exist_ok=True)
    for shared in ("raw_data", "preprocessed"):
        if not (root / shared).exists():
            (root / shared).symlink_to((arguments.root / shared).resolve())
    source, target = (Workspace.at(place).plan_file(arguments.dataset).parent for place in (arguments.root, root))
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.json"):
        (target / path.name).write_bytes(path.read_bytes())
    return root


def _changed(configuration: Configuration, changes: list[str], iterations: int) -> Configuration:
    """Return the configuration with ``PATH=VALUE`` changes, each epoch a tenth of the iterations."""
    data = configuration.model_dump(mode="json")
    data["training"]["iterations_per_epoch"] = max(1, iterations // _EPOCHS)
    for change in changes:
        path, _, value = change.partition("=")
        *parents, last = path.split(".")
        block = data
        for parent in parents:
            block = block[parent]
        if last not in block:
            raise SystemExit(f"{path} is not in the configuration.")
        block[last] = json.loads(value)
    return Configuration.model_validate_json(json.dumps(data))


def _row(name: str, changes: str, place: Path) -> dict[str, str | int | float]:
    evaluation, run = read_record(Evaluation, place / "evaluation.json"), read_record(RunRecord, place / "run.json")
    dice = {structure: round(values["dice"], 4) for structure, values in evaluation.summary.items()}
    steps = run.measured.epochs * run.measured.iterations_per_epoch
    return {
        "variant": name.strip(), "changes": changes, "fold": run.fold, "iterations": steps,
        "minutes": round(run.minutes, 1), **dice, "mean": round(evaluation.mean_dice, 4),
    }  # fmt: skip


def _write(path: Path, rows: list[dict[str, str | int | float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

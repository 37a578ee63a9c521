"""How well predicted quality keeps what it promises, on patients that it was not learnt from.

    python benchmarks/predicted_quality.py -d ACDC [--run NAME] [--root DIR] [-o OUT.json]
    python benchmarks/predicted_quality.py --disturbed FOLDER [--root DIR]

The first reads the model folder that ``autolv_find_best_config`` wrote and the run's folds, learns anew, and prints per
structure Spearman's correlation and the mean absolute error of expected Dice, per quantity the coverage and width of the 90 %
interval, all crosswise by fold: what is said of a fold's patients was learnt from the others. Then what signals take.

The second needs no training: it takes the references of ACDC's training patients in FOLDER, makes predictions of them by
disturbing (smooth errors of the border, missing slices at the ends, islands, each patient in a severity of its own, with
probabilities as uncertain as the error is likely, and too sure), and leaves them as a run's folds. Its numbers are of the
method, not of a trained model.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter, map_coordinates

import autolv
from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.imageio.probabilities import write_probabilities
from autolv.imageio.volumes import read_labels
from autolv.networks import build_network
from autolv.pipeline.context import thread_count
from autolv.pipeline.learn_quality import learn_quality
from autolv.pipeline.model import trained_folds
from autolv.pipeline.scoring import Scorer
from autolv.pipeline.versions import versions
from autolv.readout.expected import expected_dice, signals_of
from autolv.reporting.quality_table import quality_table
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record, write_text
from autolv.schema.results import BestConfig, Measured, RunChoices, RunRecord
from autolv.schema.splits import Splits

_TIMED = 20  # frames
_CONFIGURATION = "2d_unet"
_TOO_SURE = 1.5  # how far the made probabilities are from those by which they were made, as a temperature


def main() -> None:
    """Do what the command line asks for."""
    args = _arguments()
    root = args.root.expanduser()
    if args.disturbed is not None:
        root.mkdir(parents=True, exist_ok=True)
        _disturbed_run(root, args.disturbed.expanduser(), args.dataset, args.run)
        autolv.find_best_config(args.dataset, run=args.run, root=root, configurations=[_CONFIGURATION])
    workspace = Workspace.at(root)
    folder = workspace.raw(args.dataset)
    dataset, best = (
        load_dataset(folder),
        read_record(BestConfig, workspace.model(args.dataset, args.run) / "best_config.json"),
    )
    splits = read_record(Splits, workspace.splits_file(args.dataset))
    chosen = tuple(best.configurations)
    trained = trained_folds(workspace, args.dataset, args.run, chosen, len(splits.folds))
    scorer = Scorer(folder, dataset, trained, workers=thread_count(None))
    cases = scorer.cases(chosen)
    evaluation = scorer.evaluation(chosen, cases, best.postprocessing)
    begun = time.perf_counter()
    quality = learn_quality(
        scorer, chosen, cases, best.postprocessing, evaluation, best.structures, workers=thread_count(None)
    )
    seconds = time.perf_counter() - begun
    if isinstance(quality, str):
        raise SystemExit(f"nothing was learnt: {quality}")
    print(f"{best.chosen}, mean Dice {evaluation.mean_dice:.4f}; learnt in {seconds:.1f} s")
    print("\n".join(quality_table(quality, best.structures)))
    for name, one in quality.dice.items():
        words = ", ".join(
            f"{signal} {weight:+.2f}" for signal, weight in zip(quality.signals, one.weights, strict=True)
        )
        print(f"{name}: {words}")
    spent = []
    for case in cases[:_TIMED]:
        seen = scorer.predicted(chosen, case, best.postprocessing)
        begun = time.process_time()
        expected_dice(quality, signals_of(
            seen.probabilities, seen.box, seen.labels, best.structures, seen.spacing_mm, quality.temperature))  # fmt: skip
        spent.append(time.process_time() - begun)
    print(
        f"signals of a frame: median {1000 * np.median(spent):.0f} ms, at most {1000 * max(spent):.0f} ms of one core"
    )
    if args.out:
        write_text(args.out, json.dumps(quality.model_dump(mode="json"), indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", default="ACDC")
    parser.add_argument("--run", default="default")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument(
        "--disturbed", type=Path, metavar="FOLDER", help="ACDC's training patients, whose references to disturb"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write what was learnt as JSON")
    return parser.parse_args()


def _disturbed_run(root: Path, source: Path, name: str, run: str) -> None:
    """Write validated folds of one configuration with fresh weights, whose predictions are disturbed references."""
    workspace = Workspace.at(root)
    if not workspace.raw(name).is_dir():
        autolv.convert("acdc", source, dataset=name, root=root)
    if not workspace.plan_file(name).exists():
        autolv.plan_and_preprocess(name, root=root, device="cpu", time_budget_minutes=1.0)
    folder = workspace.raw(name)
    dataset, plan = load_dataset(folder), read_record(Plan, workspace.plan_file(name))
    configuration = plan.configurations[_CONFIGURATION]
    for number, split in enumerate(read_record(Splits, workspace.splits_file(name)).folds):
        place = workspace.fold(name, run, _CONFIGURATION, number)
        if (place / "run.json").exists():
            continue
        for case in (case for case in dataset.training if case.patient in set(split.validation)):
            volume = read_labels(folder / str(case.label))
            severity = np.random.default_rng([*os.fsencode(case.patient)]).lognormal(0.0, 0.6)
            found = disturbed(
                dataset.schema_.to_internal(volume.array), len(dataset.labels) + 1, volume.spacing_mm[1:], float(severity),
                np.random.default_rng([*os.fsencode(case.case)]),
            )  # fmt: skip
            write_probabilities(place / "validation" / f"{case.case}.npz", found)
        torch.manual_seed(number)
        save_file(build_network(configuration.network).state_dict(), place / "weights.safetensors")
        measured = Measured(
            device="cpu", device_name="cpu", threads=1, precision="float32", channels_last=False, compiled=False,
            seconds_per_iteration=1.0, epochs=0, iterations_per_epoch=0, trial={},
        )  # fmt: skip
        choices = RunChoices(plan_hash="", splits_hash="", seed=0, epochs=None, time_budget_minutes=None)
        record = RunRecord(
            dataset=name, run=run, fold=number, configuration=configuration, choices=choices, labels=dataset.labels,
            structures=dataset.schema_.structures, train_patients=split.train, validation_patients=split.validation,
            versions=versions(), measured=measured, status="validated", minutes=0.0,
        )  # fmt: skip
        write_record(record, place / "run.json")


def disturbed(
    labels: NDArray[np.uint8], classes: int, pixel_mm: tuple[float, float], severity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return probabilities (classes, z, y, x) of a prediction that errs about ``labels`` (z, y, x) by ``severity``.

    Borders move by a smooth field of 1 mm (times the severity) and a share of that by slice; where a network would be
    unsure, by about as much, the probabilities are blurred. The first or last slice of a heart may be lost, surely or not,
    and islands may appear. All ends up surer than it should be.
    """
    frame = severity * rng.lognormal(0.0, 0.25)
    truth = np.stack([labels == label for label in range(classes)]).astype(np.float32)
    result = np.empty_like(truth)
    for z in range(len(labels)):
        sigma_mm = 1.0 * frame * rng.lognormal(0.0, 0.4)
        field = [gaussian_filter(rng.normal(size=labels.shape[1:]), 8.0 / p) for p in pixel_mm]
        moves = [sigma_mm / p * one / max(float(one.std()), 1e-9) for one, p in zip(field, pixel_mm, strict=True)]
        places = np.indices(labels.shape[1:]) + np.array(moves)
        blur = [0.5 + 0.9 * sigma_mm * rng.lognormal(0.0, 0.3) / p for p in pixel_mm]
        for label in range(classes):
            moved = map_coordinates(truth[label, z], places, order=1, mode="nearest")
            result[label, z] = gaussian_filter(moved, blur)
    _lose_ends(result, labels, frame, rng)
    _add_islands(result, labels, frame, rng)
    result = np.maximum(result, 1e-5) ** _TOO_SURE
    probabilities: NDArray[np.float32] = result / result.sum(axis=0)
    return probabilities


def _lose_ends(
    shares: NDArray[np.float32], labels: NDArray[np.uint8], severity: float, rng: np.random.Generator
) -> None:
    heart = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    for order in (heart, heart[::-1]):
        lost = 0
        while lost < len(heart) - 3 and rng.random() < min(0.12 * severity, 0.6):
            kept = rng.choice([0.02, 0.4]) * rng.uniform(0.5, 1.2)  # surely, or in doubt
            shares[1:, order[lost]] *= kept
            shares[0, order[lost]] = 1 - shares[1:, order[lost]].sum(axis=0)
            lost += 1


def _add_islands(
    shares: NDArray[np.float32], labels: NDArray[np.uint8], severity: float, rng: np.random.Generator
) -> None:
    for _ in range(rng.poisson(0.5 * severity)):
        z, y, x = (int(rng.integers(0, n)) for n in labels.shape)
        spot = np.zeros(labels.shape[1:], dtype=np.float32)
        spot[y, x] = 1.0
        spot = gaussian_filter(spot, rng.uniform(2.0, 6.0))
        spot *= rng.uniform(0.4, 1.0) / spot.max()
        shares[:, z] *= 1 - spot
        shares[rng.integers(1, len(shares)), z] += spot


if __name__ == "__main__":
    main()

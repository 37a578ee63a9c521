"""Folds that were trained from a pack, put into a workspace as runs of autolv that only lack their validation."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from autolv.core.errors import DataError, PlanError
from autolv.core.workspace import Workspace
from autolv.pipeline.cache import data_hash
from autolv.pipeline.claim import claim_run
from autolv.pipeline.context import load_plan, load_splits, open_dataset, pick_configuration, thread_count
from autolv.pipeline.versions import versions
from autolv.schema.record import write_bytes, write_record, write_text
from autolv.schema.results import Measured, RunChoices, RunRecord
from on_gpu.folds import Place, trained_by


def install(workspace: Workspace, dataset: str, run: str, place: Place) -> tuple[list[int], RunChoices]:
    """Put the finished folds of ``place`` into the run; return their numbers and what ``autolv_train`` must be asked for.

    Weights are those of the files, in half precision, that were scored. A fold that the run has already is left alone.
    Raises ``PlanError`` where the workspace's plan or splits are not those that the folds were trained by.
    """
    folder, record = open_dataset(workspace, dataset)
    plan, splits = load_plan(workspace, dataset), load_splits(workspace, record)
    configuration = pick_configuration(plan, place.name)
    results = json.loads(place.results.read_text(encoding="utf-8"))
    settings = results["settings"]
    if (settings["configuration"], settings["splits"]) != (trained_by(configuration), splits.content_hash()):
        raise PlanError(
            f"{place.results} is of other numbers or folds than the workspace's plan and splits.",
            remedy="Put those into the workspace that train was given.",
        )
    choices = RunChoices(
        plan_hash=plan.training_hash(), splits_hash=splits.content_hash(), seed=settings["seed"], epochs=1,
        time_budget_minutes=None, data_hash=data_hash(folder, record, workers=thread_count(None)),
        deterministic=settings["deterministic"],
    )  # fmt: skip
    claim_run(workspace, dataset, run, choices)
    put = []
    for number in sorted(int(fold) for fold, known in results["folds"].items() if "dice" in known):
        known, target = results["folds"][str(number)], workspace.fold(dataset, run, place.name, number)
        if (target / "run.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        write_bytes(target / "weights.safetensors", save(_weights(place.weights(number))))
        if known.get("history"):
            write_text(target / "history.csv", _csv(known["history"]))
        fold = splits.folds[number]
        found = RunRecord(
            dataset=record.name, run=run, fold=number, configuration=configuration, choices=choices,
            labels=record.labels, structures=record.schema_.structures, train_patients=fold.train,
            validation_patients=fold.validation, versions=versions() | {"torch": known["torch"]},
            measured=_measured(settings, known), status="trained",
            minutes=round(known["train_seconds"] / 60, 3), located=True,
        )  # fmt: skip
        write_record(found, target / "run.json")  # last: a fold that says it is trained has its weights
        put.append(number)
    return put, choices


def _measured(settings: dict[str, Any], known: dict[str, Any]) -> Measured:
    return Measured(
        device="cuda", device_name=known["device"], threads=0, precision=settings["precision"],
        channels_last=settings["channels_last"], compiled=settings["compiled"], graphs=settings["graphs"],
        seconds_per_iteration=round(known["train_seconds"] / settings["iterations"], 5), epochs=1,
        iterations_per_epoch=settings["iterations"], trial={},
    )  # fmt: skip


def _weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise DataError(f"{path} is missing.", remedy="Bring back all files that train left.")
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}


def _csv(history: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()

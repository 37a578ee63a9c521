"""Recipe of ``autolv_train``: one configuration, one fold or all, resumed where it stopped, validated on whole volumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autolv.augmentation import PRESETS
from autolv.core.errors import PlanError, TrainingError, WorkspaceError
from autolv.core.workspace import Workspace
from autolv.parallel import Position
from autolv.pipeline.cache import data_hash, fits_memory, load_cases, stored_file
from autolv.pipeline.context import load_plan, load_splits, open_dataset, pick_configuration, thread_count
from autolv.pipeline.fold import train_fold
from autolv.pipeline.interrupt import stop_if, stop_signals
from autolv.pipeline.job import FoldJob
from autolv.pipeline.page import write_page
from autolv.pipeline.start import Start, read_start, refuse_leak
from autolv.pipeline.tensorboard import event_writer
from autolv.pipeline.validate import validate_fold
from autolv.runtime.device import resolve_device
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import RunChoices, RunRecord
from autolv.schema.splits import Splits

_log = logging.getLogger(__name__)
_CHOICES_IN_WORDS = {"plan_hash": "plan", "splits_hash": "splits", "data_hash": "images or labels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What every fold of one call shares."""

    workspace: Workspace
    folder: Path
    dataset: Dataset
    plan: Plan
    splits: Splits
    configuration: Configuration
    choices: RunChoices
    run: str
    device: str
    workers: int
    precision: str
    compile_mode: str
    layout: str
    retry_trial: bool
    overwrite: bool
    start: Start | None
    log: Literal["tensorboard"] | None
    show: Callable[[Position], None] | None


def train(
    dataset: str,
    *,
    configuration: str | None = None,
    fold: int | Literal["all"] = 0,
    run: str = "default",
    root: Path | str = ".",
    device: str = "auto",
    workers: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    time_budget_minutes: float | None = None,
    augment: str | None = None,
    init_from: Path | str | None = None,
    precision: str = "auto",
    compile: str = "auto",  # noqa: A002 - the flag's name
    layout: str = "auto",
    retry_trial: bool = False,
    overwrite: bool = False,
    log: Literal["tensorboard"] | None = None,
    show: Callable[[Position], None] | None = None,
) -> tuple[Path, ...]:
    """Train ``fold`` (or all, one after another) of ``configuration`` and predict its validation patients.

    Without ``configuration`` the plan's recommended one is taken; without ``epochs`` and ``time_budget_minutes`` (per
    fold) the time that the plan was made for, or its epochs where it was made for none; ``augment`` names an
    augmentation preset to take in place of the plan's, ``init_from`` a model folder or a fold's folder whose weights
    are begun from as far as they fit. ``precision``, ``layout`` and ``compile`` fix how steps are taken; what is left
    ``auto`` is the fastest, timed once per machine and network, and again with ``retry_trial``. ``log`` keeps the
    history as TensorBoard's event files too, in the folds' folders; ``show`` is called after each iteration with the
    fold's position. A fold that is finished is skipped, one that was interrupted goes on where it stopped. Returns the
    folds' folders. Raises ``PlanError``, ``WorkspaceError`` (the run's name stands for other choices),
    ``RegistryError`` (an unknown preset), ``ModelError`` (``init_from``), ``TrainingError`` (its patients are the
    fold's own, for one), ``Interrupted``.
    """
    if epochs is not None and time_budget_minutes is not None:
        raise TrainingError("both --epochs and --time-budget were given.", remedy="Give one of them.")
    if log == "tensorboard":
        event_writer()  # if it is not there, better told now than by a fold
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset)
    plan = load_plan(workspace, dataset)
    splits = load_splits(workspace, record)
    chosen = _augmented(pick_configuration(plan, configuration), augment)
    if epochs is None and time_budget_minutes is None:
        time_budget_minutes = plan.compute.time_budget_minutes
    choices = RunChoices(
        plan_hash=plan.training_hash(),
        splits_hash=splits.content_hash(),
        seed=seed,
        epochs=epochs,
        time_budget_minutes=time_budget_minutes,
        augmentation=augment,
        data_hash=data_hash(folder, record, workers=thread_count(workers)),
        init_from=None if init_from is None else str(Path(init_from).expanduser().resolve()),
    )
    _refuse_other_choices(workspace, dataset, run, choices)
    numbers = range(len(splits.folds)) if fold == "all" else [fold]
    _refuse_unknown_folds(numbers, splits)
    start = None if choices.init_from is None else read_start(Path(choices.init_from), chosen.name)
    resolve_device(device)  # a device that is not there is told before anything is written
    request = RunRequest(
        workspace=workspace, folder=folder, dataset=record, plan=plan, splits=splits, configuration=chosen,
        choices=choices, run=run, device=device, workers=thread_count(workers), precision=precision,
        compile_mode=compile, layout=layout, retry_trial=retry_trial, overwrite=overwrite, start=start, log=log,
        show=show,
    )  # fmt: skip
    done = []
    with stop_signals() as stop_asked:
        for number in numbers:
            stop_if(stop_asked, f"fold {number}")
            done.append(train_and_validate(request, number, stop_asked=stop_asked))
    return tuple(done)


def _augmented(configuration: Configuration, augment: str | None) -> Configuration:
    """Return the configuration with the augmentation preset asked for, the plan's own where none is."""
    if augment is None:
        return configuration
    PRESETS.get(augment)
    training = configuration.training.model_copy(update={"augmentation": augment})
    reasons = {**configuration.reasons, "training.augmentation": "as asked for with --augment"}
    return configuration.model_copy(update={"training": training, "reasons": reasons})


def _refuse_other_choices(workspace: Workspace, dataset: str, run: str, choices: RunChoices) -> None:
    """Refuse a run's name that stands for other choices than these."""
    path = _choices_file(workspace, dataset, run)
    if not path.exists():
        return
    before = read_record(RunChoices, path)
    if before != choices:
        detail = ", ".join(
            f"{_CHOICES_IN_WORDS.get(name, name)} {getattr(before, name)} before, {getattr(choices, name)} now"
            for name in RunChoices.model_fields
            if getattr(before, name) != getattr(choices, name)
        )
        raise WorkspaceError(
            f"the run {run!r} of {dataset} was begun with other choices: {detail}.",
            remedy=f"Give this one a name of its own with --run, or delete {path.parent} to begin again.",
        )


def _refuse_other_blocks(request: RunRequest, number: int) -> None:
    """Refuse to train a fold of a configuration of which the run holds folds that were trained by other numbers."""
    folder = request.workspace.configuration(request.dataset.name, request.run, request.configuration.name)
    anew = folder / f"fold_{number}" if request.overwrite else None
    for path in sorted(folder.glob("fold_*/run.json")):
        before = read_record(RunRecord, path).configuration
        if path.parent != anew and before.block_hashes() != request.configuration.block_hashes():
            raise WorkspaceError(
                f"{path.parent} was trained by other numbers than the plan has for {request.configuration.name} now.",
                remedy="Give this run a name of its own with --run, or delete that folder to train the fold again.",
            )


def _claim_run(request: RunRequest) -> None:
    """Write down what the run's name stands for from now on."""
    _refuse_other_choices(request.workspace, request.dataset.name, request.run, request.choices)
    path = _choices_file(request.workspace, request.dataset.name, request.run)
    if not path.exists():
        write_record(request.choices, path)


def _choices_file(workspace: Workspace, dataset: str, run: str) -> Path:
    return workspace.run(dataset, run) / "choices.json"


def _refuse_unknown_folds(numbers: Sequence[int], splits: Splits) -> None:
    unknown = [number for number in numbers if not 0 <= number < len(splits.folds)]
    if unknown:
        raise PlanError(
            f"there is no fold {unknown[0]}: {splits.dataset} has {len(splits.folds)} folds, "
            f"0 to {len(splits.folds) - 1}.",
            remedy="Name one of these with -f, or 'all'.",
        )


def train_and_validate(request: RunRequest, number: int, *, stop_asked: Callable[[], bool]) -> Path:
    """Train one fold, from its start or from where it stopped, and validate it; return its folder."""
    begin = time.monotonic()
    _refuse_other_blocks(request, number)
    name = request.configuration.name
    place = request.workspace.fold(request.dataset.name, request.run, name, number)
    record_file = place / "run.json"
    record = read_record(RunRecord, record_file) if record_file.exists() and not request.overwrite else None
    if record is not None and record.status == "validated":
        _log.info("%s fold %d is finished: %s", name, number, place)
        return place
    patients = request.splits.folds[number]
    if request.start is not None:
        refuse_leak(request.start, request.dataset.name, patients.validation)
    by_side = {
        side: [case for case in request.dataset.training if case.patient in set(getattr(patients, side))]
        for side in ("train", "validation")
    }
    if not by_side["train"]:
        raise PlanError(f"fold {number} has no training cases.", remedy="Make the splits again with --overwrite.")
    block = request.configuration.preprocessing
    mapped = not fits_memory(request.workspace, request.dataset, block)
    stored = {
        side: load_cases(
            request.workspace, request.folder, request.dataset, block, cases, workers=request.workers, mapped=mapped
        )
        for side, cases in by_side.items()
    }
    files = tuple(stored_file(request.workspace, request.dataset, block, case) for case in by_side["train"])
    job = FoldJob(
        place=place,
        dataset=request.dataset,
        run=request.run,
        fold=number,
        configuration=request.configuration,
        choices=request.choices,
        train_patients=patients.train,
        validation_patients=patients.validation,
        train_cases=stored["train"],
        validation_cases=stored["validation"],
        device=request.device,
        precision=request.precision,
        compile_mode=request.compile_mode,
        overwrite=request.overwrite,
        start=request.start,
        from_disk=files if mapped else (),
        workers=request.workers,
        layout=request.layout,
        steps=request.workspace.steps(),
        retry_trial=request.retry_trial,
        log=request.log,
    )
    _claim_run(request)
    network, record = train_fold(job, record, begin=begin, stop_asked=stop_asked, show=request.show)
    stored.clear()
    validate_fold(network, record, place, request.folder, request.dataset, by_side["validation"], stop_asked=stop_asked)
    finished = record.model_copy(update={"status": "validated"})
    write_page(finished, place)
    write_record(finished, record_file)
    _log.info("%s fold %d done: %s", name, number, place)
    return place

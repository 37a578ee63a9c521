"""Recipe of ``autolv_train``: one configuration, one fold or all, resumed where it stopped, validated on whole volumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autolv.augmentation import PRESETS
from autolv.core.errors import PlanError, TrainingError
from autolv.core.workspace import Workspace
from autolv.parallel import Position
from autolv.pipeline.cache import data_hash, fits_memory, load_cases, stored_file
from autolv.pipeline.claim import claim_run, claimed, leave, refuse_other_blocks, refuse_other_choices
from autolv.pipeline.context import load_plan, load_splits, open_dataset, pick_configuration, thread_count
from autolv.pipeline.fold import train_fold
from autolv.pipeline.interrupt import stop_if, stop_signals
from autolv.pipeline.job import FoldJob
from autolv.pipeline.page import write_page
from autolv.pipeline.start import Start, read_start, refuse_leak
from autolv.pipeline.tensorboard import event_writer
from autolv.pipeline.validate import validate_fold
from autolv.runtime.determinism import deterministic as deterministic_kernels
from autolv.runtime.device import resolve_device
from autolv.runtime.ranks import Ranks, joined
from autolv.schema.dataset import Case, Dataset
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import from_json, read_record, write_record
from autolv.schema.results import RunChoices, RunRecord
from autolv.schema.splits import Splits

_log = logging.getLogger(__name__)


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
    ranks: Ranks


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
    deterministic: bool = False,
    overwrite: bool = False,
    log: Literal["tensorboard"] | None = None,
    show: Callable[[Position], None] | None = None,
) -> tuple[Path, ...]:
    """Train ``fold`` (or all, one after another) of ``configuration`` and predict its validation patients.

    Without ``configuration`` the plan's recommended one is taken; without ``epochs`` and ``time_budget_minutes`` (per
    fold) the time that the plan was made for, or its epochs where it was made for none; ``augment`` names an
    augmentation preset to take in place of the plan's, ``init_from`` a model folder or a fold's folder whose weights
    are begun from as far as they fit. ``precision``, ``layout`` and ``compile`` fix how steps are taken; what is left
    ``auto`` is the fastest, timed once per machine and network, and again with ``retry_trial``; ``deterministic`` takes
    only kernels that give the same bits each time. ``log`` keeps the history as TensorBoard's event files too, in the
    folds' folders; ``show`` is called after each iteration with the fold's position.

    A fold that is finished is skipped, one that was interrupted goes on where it stopped; of all folds those that another
    process is training are left to it. Started by ``torchrun``, its processes train each fold together. Returns the
    folders of the folds that are finished. Raises ``PlanError``, ``WorkspaceError`` (the run's name stands for other choices),
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
    chosen = augmented(pick_configuration(plan, configuration), augment)
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
        deterministic=deterministic,
    )
    refuse_other_choices(workspace, dataset, run, choices)
    numbers = range(len(splits.folds)) if fold == "all" else [fold]
    _refuse_unknown_folds(numbers, splits)
    start = None if choices.init_from is None else read_start(Path(choices.init_from), chosen.name)
    resolve_device(device)  # a device that is not there is told before anything is written
    with joined(device) as (ranks, own_device), deterministic_kernels(deterministic), stop_signals() as stop_asked:
        request = RunRequest(
            workspace=workspace, folder=folder, dataset=record, plan=plan, splits=splits, configuration=chosen,
            choices=choices, run=run, device=own_device, workers=thread_count(workers, processes=ranks.size),
            precision=precision, compile_mode=compile, layout=layout, retry_trial=retry_trial, overwrite=overwrite,
            start=start, log=log, show=show, ranks=ranks,
        )  # fmt: skip
        done = []
        for number in numbers:
            stop_if(lambda: ranks.anywhere(stop_asked()), f"fold {number}")
            done.append(train_and_validate(request, number, skip_taken=fold == "all", stop_asked=stop_asked))
    return tuple(place for place in done if place is not None)


def augmented(configuration: Configuration, augment: str | None) -> Configuration:
    """Return the configuration with the augmentation preset asked for, the plan's own where none is."""
    if augment is None:
        return configuration
    PRESETS.get(augment)
    training = configuration.training.model_copy(update={"augmentation": augment})
    reasons = {**configuration.reasons, "training.augmentation": "as asked for with --augment"}
    return configuration.model_copy(update={"training": training, "reasons": reasons})


def _refuse_unknown_folds(numbers: Sequence[int], splits: Splits) -> None:
    unknown = [number for number in numbers if not 0 <= number < len(splits.folds)]
    if unknown:
        raise PlanError(
            f"there is no fold {unknown[0]}: {splits.dataset} has {len(splits.folds)} folds, "
            f"0 to {len(splits.folds) - 1}.",
            remedy="Name one of these with -f, or 'all'.",
        )


def train_and_validate(
    request: RunRequest, number: int, *, skip_taken: bool = False, stop_asked: Callable[[], bool]
) -> Path | None:
    """Train a fold, from its start or from where it stopped, and validate it; return its folder.

    Where another process works on it: ``None`` with ``skip_taken``, else ``WorkspaceError``.
    """
    begin = time.monotonic()
    refuse_other_blocks(
        request.workspace.configuration(request.dataset.name, request.run, request.configuration.name),
        request.configuration,
        number if request.overwrite else None,
    )
    name, ranks = request.configuration.name, request.ranks
    place = request.workspace.fold(request.dataset.name, request.run, name, number)
    if _is_finished(_record_at(place, request), place):
        return place
    cases, job = _job(request, number, place)
    with claimed(place, ranks) as mine:
        if not mine:
            leave(number, request.run, skip_taken=skip_taken)
            return None
        record = _record_at(place, request)
        if _is_finished(record, place):  # by another process, meanwhile
            return place
        ranks.from_main(lambda: claim_run(request.workspace, request.dataset.name, request.run, request.choices))
        network, trained = train_fold(job, record, begin=begin, stop_asked=stop_asked, show=request.show)

        def validate() -> None:
            validate_fold(network, trained, place, request.folder, request.dataset, cases, stop_asked=stop_asked)
            finished = trained.model_copy(update={"status": "validated"})
            write_page(finished, place)
            write_record(finished, place / "run.json")

        ranks.from_main(validate)
    _log.info("%s fold %d done: %s", name, number, place)
    return place


def _record_at(place: Path, request: RunRequest) -> RunRecord | None:
    """Return what is written of the fold at ``place``, as the first process reads it; ``None`` where it begins anew."""

    def read() -> str:
        path = place / "run.json"
        return read_record(RunRecord, path).to_json() if path.exists() and not request.overwrite else ""

    text = request.ranks.from_main(read)
    return from_json(RunRecord, text, where=str(place / "run.json")) if text else None


def _is_finished(record: RunRecord | None, place: Path) -> bool:
    if record is None or record.status != "validated":
        return False
    _log.info("%s fold %d is finished: %s", record.configuration.name, record.fold, place)
    return True


def _job(request: RunRequest, number: int, place: Path) -> tuple[list[Case], FoldJob]:
    """Return the validation cases of a fold, and its job with all cases loaded."""
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
    mapped = not fits_memory(request.workspace, request.dataset, block, copies=request.ranks.size)
    stored = {
        side: load_cases(
            request.workspace, request.folder, request.dataset, block, cases, workers=request.workers, mapped=mapped
        )
        for side, cases in by_side.items()
    }
    files = tuple(stored_file(request.workspace, request.dataset, block, case) for case in by_side["train"])
    return by_side["validation"], FoldJob(
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
        ranks=request.ranks,
        from_disk=files if mapped else (),
        workers=request.workers,
        layout=request.layout,
        steps=request.workspace.steps(),
        retry_trial=request.retry_trial,
        log=request.log,
    )

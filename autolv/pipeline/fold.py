"""Training one fold: from preprocessed cases in memory to weights on disk, resumable at any moment."""

from __future__ import annotations

import csv
import io
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save

from autolv.core.errors import Interrupted, WorkspaceError
from autolv.imageio.store import StoredCase
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.parallel import duration
from autolv.pipeline.versions import versions
from autolv.reporting.figures import progress_figure
from autolv.runtime.device import device_name, memory_format, prepare, resolve_device
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration
from autolv.schema.record import write_bytes, write_record, write_text
from autolv.schema.results import Measured, RunChoices, RunRecord
from autolv.training.loop import Loss, Pace, fit, monitor_dice, step
from autolv.training.sampler import Batch, Sampler, TrainingCase, monitor_patches
from autolv.training.state import TrainState, make_optimiser
from autolv.training.trial import Forward, compiled_forward, run_trial

_log = logging.getLogger(__name__)
_STATE = "state.pt"
_SAVE_EVERY_S = 20.0
_DRAW_EVERY_S = 60.0
_TIMED_STEPS = 9  # real iterations, data included, from which the pace is measured
_EPOCH_S = 15.0  # shorter epochs than this are put together, so that a line is printed about as often


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldJob:
    """Everything that training one fold needs."""

    place: Path
    dataset: Dataset
    run: str
    fold: int
    configuration: Configuration
    choices: RunChoices
    train_patients: tuple[str, ...]
    validation_patients: tuple[str, ...]
    data_hash: str
    train_cases: Sequence[StoredCase]
    validation_cases: Sequence[StoredCase]
    device: str
    precision: str
    compile_mode: str
    overwrite: bool


def train_fold(
    job: FoldJob, record: RunRecord | None, *, stop_asked: Callable[[], bool]
) -> tuple[torch.nn.Module, RunRecord]:
    """Train a fold, from its start or from where ``record`` and the saved state say it stopped.

    Returns the trained network and its record; ``weights.safetensors``, ``history.csv`` and ``progress.png`` lie in
    ``job.place``. Raises ``Interrupted`` after saving when asked to stop.
    """
    begin = time.monotonic()
    device = resolve_device(job.device)
    threads = prepare(device, None if record is None else record.measured.threads)
    network = _fresh_network(job).to(device)
    if record is not None:
        _refuse_other_data(job, record)
        if record.status == "trained":
            network.load_state_dict(load_file(job.place / "weights.safetensors"))
            return network, record
    training = job.configuration.training
    loss = _loss(job.configuration)
    sampler = Sampler(_in_memory(job.train_cases), job.configuration.network, training, seed=_seed(job))
    if record is None:
        measured = _measure(job, network, sampler, loss, device, threads, begin)
        record = _new_record(job, measured)
        _discard_old(job.place)
        write_record(record, job.place / "run.json")
    measured = record.measured
    network = _laid_out(network, job.configuration, channels_last=measured.channels_last)
    pace = _pace(measured, network, device)
    state = TrainState(network=network, optimiser=make_optimiser(network, training))
    if state.load(job.place / _STATE):
        _log.info("resumed %s fold %d at iteration %d", job.configuration.name, job.fold, state.iteration)
    watch = monitor_patches(_in_memory(job.validation_cases), job.configuration.network)
    structures = job.dataset.schema_.structures
    try:
        fit(
            state,
            batch_of=sampler.batch,
            loss=loss,
            pace=pace,
            training=training,
            monitor=lambda: monitor_dice(network, watch, structures, pace),
            on_epoch=_Keeper(job.place, pace),
            stop_asked=stop_asked,
        )
    except Interrupted:  # between two iterations; what interrupts one half-way must not be saved
        state.save(job.place / _STATE)
        raise
    return network, _finish(job, state, record)


class _Keeper:
    """What is told and kept after each epoch: a line, the history, from time to time the state and the picture."""

    def __init__(self, place: Path, pace: Pace) -> None:
        self._place, self._pace = place, pace
        self._saved = self._drawn = time.monotonic()

    def __call__(self, state: TrainState) -> None:
        _log_epoch(state, self._pace)
        _write_history(self._place / "history.csv", state.history)
        if time.monotonic() - self._saved > _SAVE_EVERY_S or state.iteration == self._pace.total:
            state.save(self._place / _STATE)
            self._saved = time.monotonic()
        if time.monotonic() - self._drawn > _DRAW_EVERY_S:
            progress_figure(state.history, self._place / "progress.png")
            self._drawn = time.monotonic()


def _fresh_network(job: FoldJob) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(job))
        return build_network(job.configuration.network).train()


def _laid_out(network: torch.nn.Module, configuration: Configuration, *, channels_last: bool) -> torch.nn.Module:
    layout = memory_format(configuration.network.dimensions, channels_last=channels_last)
    return cast("torch.nn.Module", network.to(memory_format=layout))  # type: ignore[call-overload]


def _seed(job: FoldJob) -> int:
    return job.choices.seed * 1000 + job.fold


def _loss(configuration: Configuration) -> Loss:
    training = configuration.training
    return cast("Loss", DeepSupervisionLoss(LOSSES.get(training.loss)(), training.deep_supervision_weights))


def _in_memory(cases: Sequence[StoredCase]) -> list[TrainingCase]:
    return [
        TrainingCase(
            case=stored.record.case,
            patient=stored.record.patient,
            image=torch.from_numpy(stored.image),
            labels=torch.from_numpy(stored.labels),
            heart_box=stored.record.heart_box,
        )
        for stored in cases
    ]


def _refuse_other_data(job: FoldJob, record: RunRecord) -> None:
    if record.data_hash != job.data_hash:
        raise WorkspaceError(
            f"the data of {job.dataset.name} changed after this fold was begun ({job.place}).",
            remedy="Train it anew with --overwrite, or under another --run.",
        )


def _discard_old(place: Path) -> None:
    """Remove what an earlier run left, its validation included, when a fold is begun anew."""
    for name in (
        "state.pt",
        "state.pt.previous",
        "weights.safetensors",
        "history.csv",
        "progress.png",
        "evaluation.json",
    ):
        (place / name).unlink(missing_ok=True)
    shutil.rmtree(place / "validation", ignore_errors=True)


def _measure(
    job: FoldJob,
    network: torch.nn.Module,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    threads: int,
    begin: float,
) -> Measured:
    """Find the fastest way to take steps here, and how many of them the budget allows."""
    training, minutes = job.configuration.training, job.choices.time_budget_minutes
    batch = sampler.batch(0)
    ahead_s = 60.0 * (minutes if minutes is not None else training.expected_minutes)
    way, times = run_trial(
        network, batch, loss, training,
        device=device, precision=job.precision, compile_mode=job.compile_mode, seconds_ahead=ahead_s,
    )  # fmt: skip
    per_pass = max(1, math.ceil(len(sampler) / training.batch_size))
    seconds = _seconds_per_iteration(job, sampler, loss, device, way.precision, way.channels_last, way.compiled)
    if minutes is not None:
        left_s = 60.0 * minutes - (time.monotonic() - begin)
        total = max(1, int(0.98 * left_s / seconds))  # two per cent for the Dice that is watched
        per_epoch = min(total, per_pass * max(1, round(_EPOCH_S / (seconds * per_pass))))
        epochs = max(1, round(total / per_epoch))
        per_epoch = max(1, total // epochs)
    else:
        per_epoch = max(per_pass, training.iterations_per_epoch)
        epochs = training.epochs if job.choices.epochs is None else job.choices.epochs
    _log.info(
        "%s fold %d: %s, %s; %.3f s per iteration of %d patches, %d epochs of %d iterations, about %s",
        job.configuration.name, job.fold, device_name(device), way.name, seconds, training.batch_size, epochs, per_epoch,
        duration(seconds * epochs * per_epoch),
    )  # fmt: skip
    return Measured(
        device=device.type,
        device_name=device_name(device),
        threads=threads,
        precision=way.precision,  # type: ignore[arg-type]
        channels_last=way.channels_last,
        compiled=way.compiled,
        seconds_per_iteration=round(seconds, 5),
        epochs=epochs,
        iterations_per_epoch=per_epoch,
        trial=times,
    )


def _seconds_per_iteration(
    job: FoldJob,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    precision: str,
    channels_last: bool,  # noqa: FBT001 - as in Measured
    compiled: bool,  # noqa: FBT001
) -> float:
    """Time whole iterations, data included, on a network that is thrown away: the median of a few."""
    network = _laid_out(_fresh_network(job).to(device), job.configuration, channels_last=channels_last)
    training = job.configuration.training
    state = TrainState(network=network, optimiser=make_optimiser(network, training))
    forward = compiled_forward(network) if compiled else cast("Forward", network)
    pace = Pace(device=device, precision=precision, channels_last=channels_last, forward=forward, total=1, per_epoch=1)
    seconds = []
    for iteration in range(_TIMED_STEPS + 1):
        start = time.perf_counter()
        batch: Batch = sampler.batch(iteration)
        float(step(state, batch, loss, pace, training))
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[_TIMED_STEPS // 3]  # the lower third: other work on the machine only ever adds


def _pace(measured: Measured, network: torch.nn.Module, device: torch.device) -> Pace:
    return Pace(
        device=device,
        precision=measured.precision,
        channels_last=measured.channels_last,
        forward=compiled_forward(network) if measured.compiled else cast("Forward", network),
        total=measured.epochs * measured.iterations_per_epoch,
        per_epoch=measured.iterations_per_epoch,
    )


def _new_record(job: FoldJob, measured: Measured) -> RunRecord:
    return RunRecord(
        dataset=job.dataset.name,
        run=job.run,
        fold=job.fold,
        configuration=job.configuration,
        choices=job.choices,
        labels=job.dataset.labels,
        structures=job.dataset.schema_.structures,
        train_patients=job.train_patients,
        validation_patients=job.validation_patients,
        data_hash=job.data_hash,
        versions=versions(),
        measured=measured,
        status="training",
        minutes=0.0,
    )


def _finish(job: FoldJob, state: TrainState, record: RunRecord) -> RunRecord:
    """Write the weights, then say so in the record, then draw the run."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.network.state_dict().items()}
    write_bytes(job.place / "weights.safetensors", save(weights))
    finished = record.model_copy(update={"status": "trained", "minutes": round(state.seconds / 60.0, 3)})
    write_record(finished, job.place / "run.json")
    progress_figure(state.history, job.place / "progress.png")
    return finished


def _log_epoch(state: TrainState, pace: Pace) -> None:
    row = state.history[-1]
    left_s = (pace.total - state.iteration) * state.seconds / max(1, state.iteration)
    dice = " ".join(f"{key.removeprefix('dice_')} {row[key]:.3f}" for key in row if key.startswith("dice_"))
    _log.info(
        "epoch %d/%d  loss %.4f  Dice (patches): %s  rate %.2e  %.1f s  %s left",
        int(row["epoch"]), math.ceil(pace.total / pace.per_epoch), row["loss"], dice, row["learning_rate"],
        row["seconds"], duration(left_s),
    )  # fmt: skip


def _write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())

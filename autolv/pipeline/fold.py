"""Training one fold: from preprocessed cases in memory to weights on disk, resumable at any moment."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from autolv.core.errors import Interrupted
from autolv.imageio.store import StoredCase, map_stored, put_back
from autolv.parallel import Position
from autolv.pipeline.job import FoldJob, fresh_network, laid_out, loss_of, seed_of
from autolv.pipeline.keeper import STATE, keeping
from autolv.pipeline.measure import measure, pace_of
from autolv.pipeline.page import write_page
from autolv.pipeline.start import begin_from
from autolv.pipeline.tensorboard import discard_events
from autolv.pipeline.versions import versions
from autolv.reporting.figures import progress_figure
from autolv.reporting.patches import patches_figure
from autolv.runtime.device import prepare, resolve_device
from autolv.runtime.memory import fits_beside_training
from autolv.runtime.ranks import Alone
from autolv.schema.plan import Configuration
from autolv.schema.record import from_json, write_bytes, write_record
from autolv.schema.results import Measured, RunRecord
from autolv.training.average import averaged, averaged_from, exchange
from autolv.training.loader import prefetched
from autolv.training.loop import Pace, fit, monitor_dice
from autolv.training.sampler import Batch, Sampler, TrainingCase, monitor_patches, never_annotated, pinned
from autolv.training.state import TrainState, make_optimiser, make_scaler

_log = logging.getLogger(__name__)
_PATCHES = 18


def train_fold(
    job: FoldJob,
    record: RunRecord | None,
    *,
    begin: float,
    stop_asked: Callable[[], bool],
    show: Callable[[Position], None] | None = None,
) -> tuple[torch.nn.Module, RunRecord]:
    """Train a fold, from its start or from where ``record`` and the saved state say it stopped.

    ``begin`` is the time, by ``time.monotonic()``, from which the time budget counts; ``show`` gets the position after
    each iteration. Returns the trained network and its record; ``weights.safetensors``, ``history.csv`` and
    ``progress.png`` lie in ``job.place``, written by the first of ``job.ranks``. Raises ``Interrupted`` after saving when
    asked to stop.
    """
    device, ranks = resolve_device(job.device), job.ranks
    begun_alike = record is not None and record.measured.processes == ranks.size
    threads = prepare(device, record.measured.threads if record and begun_alike else None, processes=ranks.size)
    network = fresh_network(job).to(device)
    if record is not None and record.status == "trained":
        network.load_state_dict(load_file(job.place / "weights.safetensors"))
        return network, record
    training = job.configuration.training
    share = ranks.rank, ranks.size
    cases = training_cases(job.train_cases)
    _warn_of_unseen(job, cases)
    sampler = _sampler(_on(device, cases), job.configuration, seed_of(job), share)
    if record is None:
        alone = loss_of(job.configuration, Alone())
        new = _new_record(job, measure(job, network, sampler, alone, device, threads, begin))
        record = _of_main(job, lambda: _begin(job, new, sampler))
    measured = record.measured
    network = laid_out(network, job.configuration, channels_last=measured.channels_last)
    if job.start is not None:
        begin_from(network, job.start, job.dataset.schema_.structures)
    pace = replace(pace_of(measured, network, device), ranks=ranks)
    average = averaged_from(network) if training.weight_average > 0 else []
    state = TrainState(
        network=network,
        optimiser=make_optimiser(network, training),
        average=average,
        scaler=make_scaler(device, measured.precision),
    )
    if state.load(job.place / STATE):
        _log.info("resumed %s fold %d at iteration %d", job.configuration.name, job.fold, state.iteration)
    watch = monitor_patches(training_cases(job.validation_cases), job.configuration.network)
    structures = job.dataset.schema_.structures
    try:
        with (
            keeping(job, record, state, pace, show) as keeper,
            _batches(job, sampler, state.iteration, pace) as batch_of,
        ):
            fit(
                state,
                batch_of=batch_of,
                loss=loss_of(job.configuration, ranks),
                pace=pace,
                training=training,
                monitor=partial(_watch, state, watch, structures, pace) if ranks.is_main else dict,
                on_epoch=keeper.after_epoch,
                stop_asked=stop_asked,
                on_step=keeper.after_step,
            )
    except Interrupted:  # between two iterations; what interrupts one half-way must not be saved
        ranks.from_main(lambda: state.save(job.place / STATE))
        raise
    return network, _of_main(job, lambda: _finish(job, state, record))


def _of_main(job: FoldJob, work: Callable[[], RunRecord]) -> RunRecord:
    """Return the record that ``work`` gives in the first process, which alone does it."""
    return from_json(RunRecord, job.ranks.from_main(lambda: work().to_json()), where=str(job.place / "run.json"))


def _begin(job: FoldJob, record: RunRecord, sampler: Sampler) -> RunRecord:
    """Put a new record in place of what is there, with what is shown of a run that begins."""
    _discard_old(job.place)
    write_record(record, job.place / "run.json")
    _draw_patches(job, sampler)
    write_page(record, job.place)
    return record


def _watch(state: TrainState, watch: Sequence[Batch], structures: Sequence[str], pace: Pace) -> dict[str, float]:
    with averaged(state.network, state.average):
        return monitor_dice(state.network, watch, structures, pace)


def _warn_of_unseen(job: FoldJob, cases: Sequence[TrainingCase]) -> None:
    structures = job.dataset.schema_.structures
    for number in never_annotated(cases):
        _log.warning(
            "%s is annotated in no training case of fold %d, which thus learns to find none.",
            structures[number - 1], job.fold,
        )  # fmt: skip


def _draw_patches(job: FoldJob, sampler: Sampler) -> None:
    """Draw the first patches as the network gets them, so that a wrong transform is seen."""
    number = math.ceil(_PATCHES * job.ranks.size / job.configuration.training.batch_size)
    batches = [sampler.batch(iteration) for iteration in range(number)]
    middle = job.configuration.network.neighbours
    images = torch.cat([batch.images[:, middle].cpu() for batch in batches])[:_PATCHES]  # (n, y, x) or (n, z, y, x)
    labels = torch.cat([batch.labels.cpu() for batch in batches])[:_PATCHES]
    names = [name for batch in batches for name in batch.cases][:_PATCHES]
    patches_figure(images.numpy(), labels.numpy(), names, job.place / "patches.png", job.dataset.schema_.structures)


def _batches(job: FoldJob, sampler: Sampler, first: int, pace: Pace) -> AbstractContextManager[Callable[[int], Batch]]:
    """Return what gives the batches: the sampler itself, or processes that read ahead where the data lie on disk."""
    if not job.from_disk or job.workers == 0:
        return nullcontext(
            sampler.batch if pace.device.type != "cuda" else lambda number: pinned(sampler.batch(number))
        )
    _log.info("the training cases do not fit into memory: %d processes read them ahead", job.workers)
    share = job.ranks.rank, job.ranks.size
    make_sampler = partial(_open_sampler, job.from_disk, job.configuration, seed_of(job), share)
    return prefetched(make_sampler, first=first, last=pace.total, workers=job.workers, pin=pace.device.type == "cuda")


def _open_sampler(files: Sequence[Path], configuration: Configuration, seed: int, share: tuple[int, int]) -> Sampler:
    return _sampler(training_cases([map_stored(path) for path in files]), configuration, seed, share)


def _sampler(cases: Sequence[TrainingCase], configuration: Configuration, seed: int, share: tuple[int, int]) -> Sampler:
    return Sampler(cases, configuration.network, configuration.training, seed=seed, share=share)


def training_cases(cases: Sequence[StoredCase]) -> list[TrainingCase]:
    """Return preprocessed cases as the sampler takes them, sharing their memory."""
    return [
        TrainingCase(
            case=stored.record.case,
            patient=stored.record.patient,
            image=torch.from_numpy(stored.image),
            labels=torch.from_numpy(stored.labels),
            heart_box=stored.record.heart_box,
            known=stored.record.known,
            put_back=partial(put_back, stored),
        )
        for stored in cases
    ]


def _on(device: torch.device, cases: list[TrainingCase]) -> list[TrainingCase]:
    """Return ``cases`` on ``device`` where there is room beside the training, so that patches are made there."""
    if not fits_beside_training(device, sum(case.image.nbytes + case.labels.nbytes for case in cases)):
        return cases
    return [_moved(case, device) for case in cases]


def _moved(case: TrainingCase, device: torch.device) -> TrainingCase:
    moved = replace(case, image=case.image.to(device), labels=case.labels.to(device))
    case.put_back()
    return moved


def _discard_old(place: Path) -> None:
    """Remove what an earlier run left, its validation included, when a fold is begun anew."""
    for name in (
        "run.json",  # first: a fold that says it is finished has its weights
        "state.pt",
        "state.pt.previous",
        "weights.safetensors",
        "history.csv",
        "progress.png",
        "patches.png",
        "report.html",
        "evaluation.json",
    ):
        (place / name).unlink(missing_ok=True)
    for unfinished in place.glob(".*.tmp"):  # of a write that was killed
        unfinished.unlink(missing_ok=True)
    discard_events(place)
    shutil.rmtree(place / "validation", ignore_errors=True)


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
        versions=versions(),
        measured=measured,
        status="training",
        minutes=0.0,
        located=True,
    )


def _finish(job: FoldJob, state: TrainState, record: RunRecord) -> RunRecord:
    """Write the weights (their average, where one is kept), then say so in the record, then draw the run."""
    exchange(state.network, state.average)  # the state is saved already
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.network.state_dict().items()}
    write_bytes(job.place / "weights.safetensors", save(weights))
    seconds, waited_s = (sum(row.get(name, 0.0) for row in state.history) for name in ("seconds", "data_seconds"))
    known = {"parts": state.parts, "data_share": round(waited_s / max(seconds, 1e-9), 4)}
    measured = record.measured.model_copy(update=known)
    finished = record.model_copy(
        update={"status": "trained", "minutes": round(state.seconds / 60.0, 3), "measured": measured}
    )
    write_record(finished, job.place / "run.json")
    progress_figure(state.history, job.place / "progress.png")
    write_page(finished, job.place)
    return finished

"""What is measured when a fold begins: the fastest way to take steps here, and how many of them the budget allows."""

from __future__ import annotations

import logging
import math
import statistics
import time
from typing import cast

import torch

from autolv.parallel import duration
from autolv.pipeline.job import FoldJob, fresh_network, laid_out
from autolv.runtime.device import device_name
from autolv.schema.results import Measured
from autolv.training.loop import Loss, Pace, step, step_in_memory
from autolv.training.sampler import Batch, Sampler, part_of
from autolv.training.state import TrainState, make_optimiser
from autolv.training.trial import Forward, compiled_forward, run_trial

_log = logging.getLogger(__name__)
_TIMED_STEPS = 9  # real iterations, data included, from which the pace is measured
_STEPPING = 0.96  # of the time; the rest is the Dice that is watched, the picture and the state
_EPOCH_S = 15.0  # shorter epochs than this are put together, so that a line is printed about as often


def measure(
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
    parts = _parts_that_fit(job, batch, loss, device)
    way, times = run_trial(
        network, part_of(batch, parts), loss, training,
        device=device, precision=job.precision, compile_mode=job.compile_mode, seconds_ahead=ahead_s,
    )  # fmt: skip
    per_pass = max(1, math.ceil(len(sampler) / training.batch_size))
    seconds = _seconds_per_iteration(
        job, sampler, loss, device, way.precision, way.channels_last, way.compiled, parts=parts
    )
    if minutes is not None:
        left_s = 60.0 * minutes - (time.monotonic() - begin)
        total = max(1, int(_STEPPING * left_s / seconds))
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
        parts=parts,
    )


def _parts_that_fit(job: FoldJob, batch: Batch, loss: Loss, device: torch.device) -> int:
    """Return in how many parts a batch must go through the network so that a step in the plainest way fits the memory."""
    network = fresh_network(job).to(device)
    state = TrainState(network=network, optimiser=make_optimiser(network, job.configuration.training))
    precision = "float32" if job.precision == "auto" else job.precision
    pace = Pace(
        device=device, precision=precision, channels_last=False, forward=cast("Forward", network), total=1, per_epoch=1
    )
    return step_in_memory(state, batch, loss, pace, job.configuration.training)[1].parts


def _seconds_per_iteration(
    job: FoldJob,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    precision: str,
    channels_last: bool,  # noqa: FBT001 - as in Measured
    compiled: bool,  # noqa: FBT001
    *,
    parts: int,
) -> float:
    """Time whole iterations, data included, on a network that is thrown away: the median of a few."""
    network = laid_out(fresh_network(job).to(device), job.configuration, channels_last=channels_last)
    training = job.configuration.training
    state = TrainState(network=network, optimiser=make_optimiser(network, training))
    forward = compiled_forward(network) if compiled else cast("Forward", network)
    pace = Pace(
        device=device, precision=precision, channels_last=channels_last, forward=forward, total=1, per_epoch=1,
        parts=parts,
    )  # fmt: skip
    seconds = []
    for iteration in range(_TIMED_STEPS + 1):
        start = time.perf_counter()
        batch: Batch = sampler.batch(iteration)
        float(step(state, batch, loss, pace, training))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def pace_of(measured: Measured, network: torch.nn.Module, device: torch.device) -> Pace:
    """Return how steps are taken with ``network``, as measured."""
    return Pace(
        device=device,
        precision=measured.precision,
        channels_last=measured.channels_last,
        forward=compiled_forward(network) if measured.compiled else cast("Forward", network),
        total=measured.epochs * measured.iterations_per_epoch,
        per_epoch=measured.iterations_per_epoch,
        parts=measured.parts,
    )

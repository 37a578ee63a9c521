"""What is measured when a fold begins: the fastest way to take steps here, and how many of them the budget allows."""

from __future__ import annotations

import logging
import math
import statistics
import time
from typing import cast

import torch

from autolv import __version__
from autolv.parallel import duration
from autolv.pipeline.job import FoldJob, fresh_network, laid_out, loss_of
from autolv.pipeline.remember import keep, recall
from autolv.planning.budget import step_flops
from autolv.runtime.device import device_name, synchronise
from autolv.runtime.memory import release_cached, settle
from autolv.runtime.ranks import Alone, Ranks
from autolv.runtime.rates import matmul_rates
from autolv.schema.record import Record, from_json
from autolv.schema.results import Measured
from autolv.schema.steps import RememberedTrial, TrialSetting, Way
from autolv.training.graphed import EAGER_STEPS
from autolv.training.loop import Loss, Pace, step, step_in_memory
from autolv.training.sampler import Batch, Sampler, parts_of
from autolv.training.state import TrainState, make_optimiser, make_scaler
from autolv.training.trial import Forward, candidates, compiling, forward_of, run_trial, take_of

_log = logging.getLogger(__name__)
_GRAPHED_AFTER = EAGER_STEPS + 1  # steps, the last of which records the graph
_TIMED_STEPS = 9  # real iterations, data included, from which the pace is measured
_STEPPING = 0.96  # of the time; the rest is the Dice that is watched, the picture and the state
_EPOCH_S = 15.0  # shorter epochs than this are put together, so that a line is printed about as often
_SLOWER = 1.5  # times the time that is remembered: what was fastest then need not be so now
_READ_EVERY = 32  # iterations between two looks at the losses on a GPU, which is not kept waiting by so few


class _Timing(Record):
    """Seconds, measured over a few iterations: medians of an iteration, data included, and of its step; the fastest step."""

    iteration_s: float
    step_s: float
    fastest_step_s: float


class _Found(Record):
    """The way to take steps, the seconds per step of all that were tried, by name, and the pace of the one chosen.

    ``rates`` are the device's in products of matrices, by precision, in GFLOP/s.
    """

    way: Way
    times: dict[str, float]
    timing: _Timing
    parts: int
    rates: dict[str, float]
    remembered: bool = False


def measure(
    job: FoldJob,
    network: torch.nn.Module,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    threads: int,
    begin: float,
) -> Measured:
    """Find the fastest way to take steps here, and how many of them the budget allows.

    Of several processes the first finds the way, on its share of a batch, of which ``loss`` is; all take steps together
    to measure the pace.
    """
    training, minutes = job.configuration.training, job.choices.time_budget_minutes
    ahead_s = 60.0 * (minutes if minutes is not None else training.expected_minutes)
    text = job.ranks.from_main(lambda: _find(job, network, sampler, loss, device, threads, ahead_s).to_json())
    found = from_json(_Found, text, where="what was measured")
    if job.ranks.size > 1:
        whole = loss_of(job.configuration, job.ranks)
        together = _timing(job, sampler, whole, device, found.way, parts=found.parts, ranks=job.ranks)
        found = found.model_copy(update={"timing": together})
    release_cached(device)
    rates, seconds, way = found.rates, found.timing.iteration_s, found.way
    per_pass = max(1, math.ceil(len(sampler) / training.batch_size))
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
        "%s fold %d: %s, %s%s; %.3f s per iteration of %d patches, %d epochs of %d iterations, about %s",
        job.configuration.name, job.fold, device_name(device), way.name, ", as remembered" if found.remembered else "",
        seconds, training.batch_size, epochs, per_epoch, duration(seconds * epochs * per_epoch),
    )  # fmt: skip
    flops = step_flops(job.configuration.network, training.batch_size) / job.ranks.size
    measured = Measured(
        device=device.type,
        device_name=device_name(device),
        threads=threads,
        precision=way.precision,
        channels_last=way.channels_last,
        compiled=way.compiled,
        graphs=way.graphs,
        seconds_per_iteration=round(seconds, 5),
        epochs=epochs,
        iterations_per_epoch=per_epoch,
        trial=found.times,
        remembered=found.remembered,
        parts=found.parts,
        step_gflops=round(flops / found.timing.step_s / 1e9, 2),
        matmul_gflops={precision: round(rate, 1) for precision, rate in rates.items()},
        processes=job.ranks.size,
    )
    _log.info(
        "%.3f s per step: %.0f GFLOP/s, %.2f of this machine's matmul rate in %s",
        found.timing.step_s, measured.step_gflops, measured.matmul_share, max(rates, key=lambda name: rates[name]),
    )  # fmt: skip
    return measured


def _find(
    job: FoldJob,
    network: torch.nn.Module,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    threads: int,
    ahead_s: float,
) -> _Found:
    """Return the way that was asked for, that is remembered and still as fast, or that a trial finds fastest."""
    rates = matmul_rates(device)
    if rates.get(job.precision, math.inf) < rates["float32"]:
        _log.warning("%s multiplies matrices more slowly in %s (%.1f GFLOP/s) than in float32 (%.1f): --precision auto is "
                     "faster.",
                     device_name(device), job.precision, rates[job.precision], rates["float32"])  # fmt: skip
    ways = candidates(device, rates, precision=job.precision, layout=job.layout)
    release_cached(device)
    parts = _parts_that_fit(job, sampler.batch(0), loss, device, ways[0].precision)
    release_cached(device)
    if job.precision != "auto":
        way = ways[0].model_copy(update={"compiled": job.compile_mode == "on"})
        timing = _timing(job, sampler, loss, device, way, parts=parts)
        return _Found(way=way, times={}, timing=timing, parts=parts, rates=rates)
    batch = parts_of(sampler.batch(0), parts)[0]
    mode = compiling(job.compile_mode, ahead_s)
    setting = _setting(job, device, threads, samples=len(batch.images), compile_mode=mode)
    known = None if job.retry_trial else recall(job.steps, setting)
    still = None if known is None else _timing_as_remembered(job, sampler, loss, device, known, parts=parts)
    if known is not None and still is not None:
        return _Found(way=known.way, times=known.seconds, timing=still, parts=parts, rates=rates, remembered=True)
    way, times = run_trial(
        network, batch, loss, job.configuration.training, device=device, ways=ways, compile_mode=mode
    )
    keep(job.steps, RememberedTrial(setting=setting, way=way, seconds=times))
    timing = _timing(job, sampler, loss, device, way, parts=parts)
    return _Found(way=way, times=times, timing=timing, parts=parts, rates=rates)


def _setting(job: FoldJob, device: torch.device, threads: int, *, samples: int, compile_mode: str) -> TrialSetting:
    network, training = job.configuration.network, job.configuration.training
    return TrialSetting(
        device=device.type,
        device_name=device_name(device),
        threads=threads,
        torch=str(torch.__version__),
        autolv=__version__,
        architecture=network.architecture,
        patch=network.patch,
        network_hash=network.content_hash(),
        samples=samples,
        loss=training.loss,
        optimiser=training.optimiser,
        layout=job.layout,
        compile_mode=compile_mode,
    )


def _timing_as_remembered(
    job: FoldJob, sampler: Sampler, loss: Loss, device: torch.device, known: RememberedTrial, *, parts: int
) -> _Timing | None:
    """Return the pace of the way that is remembered, ``None`` where it does not work or is much slower than then."""
    then_s = known.seconds[known.way.name]
    try:
        timing = _timing(job, sampler, loss, device, known.way, parts=parts)
    except Exception as error:  # noqa: BLE001 - the compiler may be gone, and that shows in many ways
        _log.info("%s no longer works here (%s): timing all ways again.", known.way.name, type(error).__name__)
        return None
    # then_s is of what goes through the network at once
    if timing.fastest_step_s > _SLOWER * then_s * parts:
        _log.info("%s takes %.3f s per step, %.3f s are remembered: timing all ways again.",
                  known.way.name, timing.fastest_step_s, then_s * parts)  # fmt: skip
        return None
    return timing


def _parts_that_fit(job: FoldJob, batch: Batch, loss: Loss, device: torch.device, precision: str) -> int:
    """Return in how many parts a batch must go through the network so that a step in ``precision`` fits the memory."""
    network = fresh_network(job).to(device)
    state = TrainState(
        network=network,
        optimiser=make_optimiser(network, job.configuration.training),
        scaler=make_scaler(device, precision),
    )
    pace = Pace(
        device=device, precision=precision, channels_last=False, forward=cast("Forward", network), total=1, per_epoch=1
    )
    return step_in_memory(state, batch, loss, pace, job.configuration.training)[1].parts


def _timing(
    job: FoldJob,
    sampler: Sampler,
    loss: Loss,
    device: torch.device,
    way: Way,
    *,
    parts: int,
    ranks: Ranks | None = None,
) -> _Timing:
    """Time whole iterations of ``ranks``, or of this process alone, data included, on a network that is thrown away."""
    network = laid_out(fresh_network(job).to(device), job.configuration, channels_last=way.channels_last)
    training = job.configuration.training
    state = TrainState(
        network=network, optimiser=make_optimiser(network, training), scaler=make_scaler(device, way.precision)
    )
    pace = Pace(
        device=device, precision=way.precision, channels_last=way.channels_last, forward=forward_of(network, way), total=1,
        per_epoch=1, parts=parts, ranks=ranks or Alone(), take=take_of(way),
    )  # fmt: skip
    iterations, steps = [], []
    for iteration in range(_GRAPHED_AFTER if way.graphs else 0):
        (pace.take or step)(state, sampler.batch(iteration), loss, pace, training)
    for iteration in range(_TIMED_STEPS + 1):
        start = time.perf_counter()
        batch: Batch = sampler.batch(iteration)
        made = time.perf_counter()
        (pace.take or step)(state, batch, loss, pace, training)
        free = time.perf_counter()  # for the next batch, while a GPU is still computing
        synchronise(device)
        done = time.perf_counter()
        iterations.append(max(free - start, done - made))
        steps.append(done - made)
        if iteration == 0:
            settle(device)
    return _Timing(
        iteration_s=statistics.median(iterations[1:]),
        step_s=statistics.median(steps[1:]),
        fastest_step_s=min(steps[1:]),
    )


def pace_of(measured: Measured, network: torch.nn.Module, device: torch.device) -> Pace:
    """Return how steps are taken with ``network``, as measured."""
    return Pace(
        device=device,
        precision=measured.precision,
        channels_last=measured.channels_last,
        forward=forward_of(network, measured.way),
        total=measured.epochs * measured.iterations_per_epoch,
        per_epoch=measured.iterations_per_epoch,
        parts=measured.parts,
        read_every=1 if device.type == "cpu" else _READ_EVERY,
        take=take_of(measured.way),
    )

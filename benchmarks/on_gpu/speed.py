"""Seconds per iteration of real training, batches included and no worker beside it, and how busy the device is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from autolv.planning.budget import step_flops
from autolv.runtime.device import device_name, synchronise
from autolv.schema.plan import Configuration
from autolv.schema.steps import Way
from autolv.training.loop import Pace, fit
from autolv.training.sampler import Sampler, TrainingCase
from autolv.training.state import TrainState, make_optimiser, make_scaler
from autolv.training.trial import forward_of, run_trial, take_of
from on_gpu.folds import fresh_network, loss_of

_READ_EVERY = 32


def measure_speed(
    configuration: Configuration,
    cases: Sequence[TrainingCase],
    device: torch.device,
    *,
    precision: str,
    compile_mode: str,
    iterations: int,
    rate_gflops: float,
) -> dict[str, Any]:
    """Return what ``iterations`` of the training loop took, in the way that a trial of real steps finds fastest.

    ``rate_gflops`` is that of the device's matrix products in ``precision``. The share of time in which the device was
    busy, and its peak of memory, are NaN where the device is no GPU.
    """
    network, training = configuration.network, configuration.training
    sampler = Sampler(cases, network, training, seed=0)
    loss = loss_of(configuration)
    ways = [Way.model_validate({"precision": precision, "channels_last": last}) for last in (False, True)]
    first = fresh_network(network, 0, ways[0], device)
    way, times = run_trial(
        first, sampler.batch(0), loss, training, device=device, ways=ways, compile_mode=compile_mode
    )  # fmt: skip
    del first
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    built = fresh_network(network, 0, way, device)
    state = TrainState(
        network=built, optimiser=make_optimiser(built, training), scaler=make_scaler(device, way.precision)
    )
    forward, take = forward_of(built, way), take_of(way)

    def go_on(more: int) -> None:
        """Take so many iterations more, as one epoch of the loop that trains folds."""
        pace = Pace(
            device=device, precision=way.precision, channels_last=way.channels_last, forward=forward,
            total=state.iteration + more, per_epoch=state.iteration + more,
            read_every=1 if device.type == "cpu" else _READ_EVERY, take=take,
        )  # fmt: skip
        fit(
            state, batch_of=sampler.batch, loss=loss, pace=pace, training=training, monitor=dict,
            on_epoch=lambda _: None, stop_asked=lambda: False,
        )  # fmt: skip
        synchronise(device)

    go_on(max(3, iterations // 5))  # warm up
    begin = time.perf_counter()
    go_on(iterations)
    seconds = (time.perf_counter() - begin) / iterations
    return {
        "configuration": configuration.name,
        "device": device_name(device),
        "parameters": sum(p.numel() for p in built.parameters()),
        "batch": training.batch_size,
        "patch": list(network.patch),
        "way": way.name,
        "trial_s": times,
        "seconds_per_iteration": seconds,
        "share_making_batches": state.history[-1]["data_seconds"] / state.history[-1]["seconds"],
        "busy_share": _busy_while(go_on, min(iterations, 10), device),
        "peak_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan"),
        "share_of_matmul": step_flops(network, training.batch_size) / seconds / 1e9 / rate_gflops,
    }


def busy_share(intervals: Iterable[tuple[float, float]]) -> float:
    """Return which share of the time from the first begin to the last end lies in any of ``intervals`` (begin, end)."""
    ordered = sorted(intervals)
    if not ordered:
        return float("nan")
    covered, until = 0.0, ordered[0][0]
    for begin, end in ordered:
        covered += max(0.0, end - max(begin, until))
        until = max(until, end)
    whole = until - ordered[0][0]
    return covered / whole if whole > 0 else float("nan")


def _busy_while(go_on: Any, iterations: int, device: torch.device) -> float:
    """Return the share of time in which kernels or copies ran while ``iterations`` were taken, by torch's profiler."""
    if device.type != "cuda":
        return float("nan")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        go_on(iterations)
    return busy_share(
        (event.time_range.start, event.time_range.end)
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    )

"""Which precision, layout and compilation are fastest here: found by timing real steps, never assumed from flags."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import cast

import torch

from autolv.runtime.device import memory_format, synchronise
from autolv.schema.plan import Training
from autolv.schema.steps import Way
from autolv.training.loop import Loss, Pace, step
from autolv.training.sampler import Batch
from autolv.training.state import TrainState, make_optimiser, make_scaler

_log = logging.getLogger(__name__)
_ROUNDS = 6
_COMPILE_PAYS_AFTER_S = 600.0  # compiling takes about a minute on two cores, less the second time; steps gain a sixth
_WORTH = 0.95  # a way must save at least 5 % of the time against a plainer one

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


def compiled_forward(network: torch.nn.Module, *, graphs: bool = False) -> Forward:
    """Return ``network`` compiled by torch (on its first call); with ``graphs`` its kernels run as CUDA graphs."""
    return cast("Forward", torch.compile(network, mode="reduce-overhead" if graphs else None))


def forward_of(network: torch.nn.Module, way: Way) -> Forward:
    """Return ``network`` as it is called in ``way``."""
    return compiled_forward(network, graphs=way.graphs) if way.compiled else cast("Forward", network)


def candidates(device: torch.device, rates: Mapping[str, float], *, precision: str, layout: str) -> list[Way]:
    """Return the eager ways worth timing on ``device``, plainest first.

    A ``precision`` other than ``auto`` leaves one way, in plain layout unless ``layout`` names the other: nothing is
    measured, so that the same seed gives the same weights on the same machine, always. A precision in which the device
    multiplies matrices more slowly than in float32 (``rates``) is not tried: a step could take minutes.
    """
    if precision != "auto":
        return [Way.model_validate({"precision": precision, "channels_last": layout == "channels_last"})]
    layouts = {"contiguous": (False,), "channels_last": (True,)}.get(layout, (False, True))
    offered = ("float32",) if device.type == "mps" else ("float32", "bfloat16", "float16")
    worth = [p for p in offered if p == "float32" or rates.get(p, 0.0) > rates["float32"]]
    return [Way.model_validate({"precision": p, "channels_last": last}) for p in worth for last in layouts]


def compiling(mode: str, seconds_ahead: float) -> str:
    """Return ``mode`` (``off``, ``on`` or ``auto``), which is ``off`` for ``auto`` where too little training is to come."""
    return "off" if mode == "auto" and seconds_ahead <= _COMPILE_PAYS_AFTER_S else mode


def run_trial(
    network: torch.nn.Module,
    batch: Batch,
    loss: Loss,
    training: Training,
    *,
    device: torch.device,
    ways: list[Way],
    compile_mode: str,
) -> tuple[Way, dict[str, float]]:
    """Time real training steps each of the ``ways`` on a copy of ``network``; return the fastest way and all times.

    The times are seconds per step by the way's name. ``compile_mode``: ``off``, ``auto`` (compiled where that is faster)
    or ``on``. The time of a way is its fastest of a few rounds, taken in turn, so that a machine that is busy for a
    moment misleads less. Of ways that are about as fast the one that comes first is taken.
    """
    times = _eager_times(network, batch, loss, training, device, ways)
    best = _plainest_of_the_fastest(times)
    if compile_mode != "off":
        whole = len(batch.images) == training.batch_size
        compiled: dict[Way, float] = {}
        for way in _compiled_ways(best, device, whole=whole):
            seconds = _try_compiled(network, batch, loss, training, device, way)
            if seconds is not None:
                compiled[way] = seconds
        times |= compiled
        if compiled:
            best = _plainest_of_the_fastest(compiled if compile_mode == "on" else {best: times[best], **compiled})
    return best, {way.name: round(seconds, 4) for way, seconds in times.items()}


def _plainest_of_the_fastest(times: Mapping[Way, float]) -> Way:
    ways = list(times)
    best = ways[0]
    for way in ways[1:]:
        if times[way] < _WORTH * times[best]:
            best = way
    return best


def _compiled_ways(best: Way, device: torch.device, *, whole: bool) -> list[Way]:
    """Return what ``best`` becomes compiled; with CUDA graphs too where a batch goes through the network as a ``whole``.

    A graph overwrites the gradients that its last run left, so that those of several parts would not add up.
    """
    compiled = best.model_copy(update={"compiled": True})
    return [compiled, compiled.model_copy(update={"graphs": True})] if device.type == "cuda" and whole else [compiled]


def _eager_times(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, ways: list[Way]
) -> dict[Way, float]:
    times = dict.fromkeys(ways, math.inf)
    steppers = {way: _stepper(network, batch, loss, training, device, way) for way in ways}
    for stepper in steppers.values():
        stepper()  # warm up
    for _ in range(_ROUNDS):
        for way in ways:
            if times[way] > 2.0 * min(times.values()) and math.isfinite(times[way]):
                continue  # hopeless: spend no more time on it
            times[way] = min(times[way], _timed(steppers[way], device))
    return times


def _stepper(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, way: Way
) -> Callable[[], None]:
    trial = copy.deepcopy(network).to(device)
    if way.channels_last:
        trial = trial.to(memory_format=memory_format(batch.images.ndim - 2, channels_last=True))  # type: ignore[call-overload]
    state = TrainState(
        network=trial, optimiser=make_optimiser(trial, training), scaler=make_scaler(device, way.precision)
    )
    pace = Pace(
        device=device, precision=way.precision, channels_last=way.channels_last, forward=forward_of(trial, way), total=1,
        per_epoch=1,
    )  # fmt: skip

    def take() -> None:
        step(state, batch, loss, pace, training)

    return take


def _timed(take: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    take()
    synchronise(device)
    return time.perf_counter() - begin


def _try_compiled(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, way: Way
) -> float | None:
    try:
        take = _stepper(network, batch, loss, training, device, way)
        take()
        take()
        return min(_timed(take, device) for _ in range(_ROUNDS))
    except Exception as error:  # noqa: BLE001 - a missing compiler shows in many ways; eager always works
        _log.warning("torch.compile does not work here (%s); going on without it.", type(error).__name__)
        return None

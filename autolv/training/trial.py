"""Which precision, layout and compilation are fastest here: found by timing real steps, never assumed from flags."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import cast

import torch

from autolv.runtime.compiler import compile_lean
from autolv.runtime.device import memory_format, synchronise
from autolv.runtime.memory import release_cached, settle
from autolv.schema.plan import Training
from autolv.schema.steps import Way
from autolv.training.graphed import GraphedStep
from autolv.training.loop import Loss, Pace, Take, step
from autolv.training.sampler import Batch
from autolv.training.state import TrainState, make_optimiser, make_scaler

_log = logging.getLogger(__name__)
_ROUNDS = 6
_HOPELESS = 2.0  # times as long as the best: no more time is spent on it
_PLAINLY_FASTER = 1.5  # at matrix products: float32 is then not tried, which would need twice the memory
_COMPILED_WARM_UP, _GRAPH_WARM_UP = 2, 5  # the last of which records the graph and runs it
_COMPILE_PAYS_AFTER_S = 600.0  # compiling takes about a minute on two cores, less the second time; steps gain a sixth
_WORTH = 0.95  # a way must save at least 5 % of the time against a plainer one

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


def compiled_forward(network: torch.nn.Module) -> Forward:
    """Return ``network`` compiled by torch (on its first call)."""
    if next(network.parameters()).device.type == "cpu":
        compile_lean()
    return cast("Forward", torch.compile(network))


def forward_of(network: torch.nn.Module, way: Way) -> Forward:
    """Return ``network`` as it is called in ``way``."""
    return compiled_forward(network) if way.compiled else cast("Forward", network)


def take_of(way: Way) -> Take | None:
    """Return what takes steps in ``way`` by other means than ``step``, for one network; ``None``: ``step`` does."""
    return GraphedStep() if way.graphs else None


def candidates(device: torch.device, rates: Mapping[str, float], *, precision: str, layout: str) -> list[Way]:
    """Return the eager ways worth timing on ``device``, plainest first.

    A ``precision`` other than ``auto`` leaves one way, in plain layout unless ``layout`` names the other: nothing is
    measured, so that the same seed gives the same weights on the same machine, always. A precision in which the device
    multiplies matrices more slowly than in float32 (``rates``) is not tried: a step could take minutes; nor is float32 where
    bfloat16 is plainly faster.
    """
    if precision != "auto":
        return [Way.model_validate({"precision": precision, "channels_last": layout == "channels_last"})]
    layouts = {"contiguous": (False,), "channels_last": (True,)}.get(layout, (False, True))
    offered = ("float32",) if device.type == "mps" else ("float32", "bfloat16", "float16")
    worth = [p for p in offered if p == "float32" or rates.get(p, 0.0) > rates["float32"]]
    if rates.get("bfloat16", 0.0) >= _PLAINLY_FASTER * rates["float32"] and "bfloat16" in worth:
        worth.remove("float32")
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
    or ``on``. The time of a way is the fastest of a few steps, so that a machine that is busy for a moment misleads less.
    Of ways that are about as fast the one that comes first is taken.
    """
    times = _eager_times(network, batch, loss, training, device, ways)
    best = _plainest_of_the_fastest(times)

    def tried(more: list[Way]) -> dict[Way, float]:
        found = {way: _try(network, batch, loss, training, device, way) for way in more}
        return {way: seconds for way, seconds in found.items() if seconds is not None}

    if device.type == "cuda" and len(batch.images) == training.batch_size:
        # a host that is slow to launch hides what a precision or layout gains: only as graphs they show it
        times |= tried([way.model_copy(update={"graphs": True}) for way in ways if way.precision != "float16"])
        best = _plainest_of_the_fastest(times)
    if compile_mode != "off":
        compiled = tried([best.model_copy(update={"compiled": True})])
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


def _eager_times(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, ways: list[Way]
) -> dict[Way, float]:
    times: dict[Way, float] = {}
    for way in ways:  # one after another: side by side they would need the memory of all
        take = _stepper(network, batch, loss, training, device, way)
        take()  # warm up
        settle(device)
        seconds = _timed(take, device)
        if seconds <= _HOPELESS * min(times.values(), default=math.inf):
            seconds = min(seconds, *(_timed(take, device) for _ in range(_ROUNDS - 1)))
        times[way] = seconds
        del take
        release_cached(device)  # what one way has left in pieces is no use to the next
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
        per_epoch=1, take=take_of(way),
    )  # fmt: skip

    def take() -> None:
        (pace.take or step)(state, batch, loss, pace, training)

    return take


def _timed(take: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    take()
    synchronise(device)
    return time.perf_counter() - begin


def _try(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, way: Way
) -> float | None:
    try:
        take = _stepper(network, batch, loss, training, device, way)
        for _ in range(_GRAPH_WARM_UP if way.graphs else _COMPILED_WARM_UP):
            take()
        settle(device)
        found = min(_timed(take, device) for _ in range(_ROUNDS))
        del take
    except Exception as error:  # noqa: BLE001 - a missing compiler shows in many ways; eager always works
        what = "torch.compile does" if way.compiled else "CUDA graphs do"
        _log.warning("%s not work here (%s); going on without.", what, type(error).__name__)
        found = None
    release_cached(device)
    return found

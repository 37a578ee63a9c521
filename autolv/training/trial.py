"""Which precision, layout and compilation are fastest here: found by timing real steps, never assumed from flags."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch

from autolv.runtime.device import memory_format
from autolv.schema.plan import Training
from autolv.training.loop import Loss, Pace, step
from autolv.training.sampler import Batch
from autolv.training.state import TrainState, make_optimiser

_log = logging.getLogger(__name__)
_ROUNDS = 6
_COMPILE_PAYS_AFTER_S = 600.0  # compiling takes about a minute on two cores, less the second time; steps gain a sixth
_WORTH = 0.95  # a choice away from plain float32 must save at least 5 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to take steps."""

    precision: str
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """The way in words, as it stands in ``run.json``."""
        layout = "channels_last" if self.channels_last else "contiguous"
        return f"{self.precision} {layout}{' compiled' if self.compiled else ''}"


Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


def compiled_forward(network: torch.nn.Module) -> Forward:
    """Return ``network`` compiled by torch (on its first call)."""
    return cast("Forward", torch.compile(network))


def candidates(device: torch.device, precision: str) -> list[Choice]:
    """Return the eager ways worth timing on ``device``.

    A ``precision`` other than ``auto`` leaves one way, in plain layout: nothing is measured, so that the same seed gives
    the same weights on the same machine, always.
    """
    if precision != "auto":
        return [Choice(precision=precision)]
    precisions = ("float32",) if device.type == "mps" else ("float32", "bfloat16")
    return [Choice(precision=p, channels_last=layout) for p in precisions for layout in (False, True)]


def run_trial(
    network: torch.nn.Module,
    batch: Batch,
    loss: Loss,
    training: Training,
    *,
    device: torch.device,
    precision: str,
    compile_mode: str,
    seconds_ahead: float,
) -> tuple[Choice, dict[str, float]]:
    """Time real training steps each way on a copy of ``network`` and return the fastest way and all times.

    ``compile_mode``: ``off``, ``on``, or ``auto`` (tried where ``seconds_ahead`` of training are to come). The time of a
    way is its fastest of a few rounds, taken in turn, so that a machine that is busy for a moment misleads less.
    """
    ways = candidates(device, precision)
    if precision != "auto":
        return Choice(precision=precision, compiled=compile_mode == "on"), {}
    times = dict.fromkeys(ways, math.inf)
    steppers = {way: _stepper(network, batch, loss, training, device, way) for way in ways}
    for stepper in steppers.values():
        stepper()  # warm up
    for _ in range(_ROUNDS):
        for way in ways:
            if times[way] > 2.0 * min(times.values()) and math.isfinite(times[way]):
                continue  # hopeless: spend no more time on it
            times[way] = min(times[way], _timed(steppers[way], device))
    steppers.clear()
    best = min(times, key=lambda way: times[way])
    plain = ways[0]
    if times[best] > _WORTH * times[plain]:
        best = plain
    if compile_mode == "on" or (compile_mode == "auto" and seconds_ahead > _COMPILE_PAYS_AFTER_S):
        way = replace(best, compiled=True)
        seconds = _try_compiled(network, batch, loss, training, device, way)
        if seconds is not None:
            times[way] = seconds
            if compile_mode == "on" or seconds < _WORTH * times[best]:
                best = way
    return best, {way.name: round(seconds, 4) for way, seconds in times.items()}


def _stepper(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, way: Choice
) -> Callable[[], None]:
    trial = copy.deepcopy(network).to(device)
    if way.channels_last:
        trial = trial.to(memory_format=memory_format(batch.images.ndim - 2, channels_last=True))  # type: ignore[call-overload]
    state = TrainState(network=trial, optimiser=make_optimiser(trial, training))
    forward = compiled_forward(trial) if way.compiled else cast("Forward", trial)
    pace = Pace(
        device=device, precision=way.precision, channels_last=way.channels_last, forward=forward, total=1, per_epoch=1
    )

    def take() -> None:
        step(state, batch, loss, pace, training)

    return take


def _timed(take: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    take()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _try_compiled(
    network: torch.nn.Module, batch: Batch, loss: Loss, training: Training, device: torch.device, way: Choice
) -> float | None:
    try:
        take = _stepper(network, batch, loss, training, device, way)
        take()
        take()
        return min(_timed(take, device) for _ in range(_ROUNDS))
    except Exception as error:  # noqa: BLE001 - a missing compiler shows in many ways; eager always works
        _log.warning("torch.compile does not work here (%s); going on without it.", type(error).__name__)
        return None

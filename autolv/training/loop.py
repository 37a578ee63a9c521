"""The training loop, to be read top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from autolv.core.errors import Interrupted, TrainingError
from autolv.runtime.device import autocast, memory_format
from autolv.runtime.memory import is_out_of_memory, release_cached, settle
from autolv.runtime.ranks import Alone, Ranks
from autolv.schema.plan import Training
from autolv.training.average import update_average
from autolv.training.sampler import Batch, parts_of
from autolv.training.schedule import learning_rate
from autolv.training.state import TrainState, make_scaler

_log = logging.getLogger(__name__)
_RUN_AWAY = 50.0  # Dice + cross-entropy begins below 3 and falls; logits that are wrong by dozens have run away

# what the network gives, the labels, and which classes are annotated in each sample (None: all) -> one number
Loss = Callable[[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor | None], torch.Tensor]
Take = Callable[[TrainState, Batch, Loss, "Pace", Training], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How steps are taken: on which device, in which precision and layout, how many, and how many make an epoch.

    ``forward`` is the network, compiled or not. A batch goes through it in ``parts``, whose gradients are added up, where
    it does not fit the memory in one. Losses are read together, every ``read_every`` iterations and at the end of an epoch:
    for one that is read the host has to wait until a GPU has computed it. ``ranks`` are the processes that share each batch.
    ``take`` takes a step as ``step`` does, by other means; ``None``: ``step`` itself.
    """

    device: torch.device
    precision: str
    channels_last: bool
    forward: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
    total: int
    per_epoch: int
    parts: int = 1
    read_every: int = 1
    ranks: Ranks = field(default_factory=Alone)
    take: Take | None = None


def step(state: TrainState, batch: Batch, loss: Loss, pace: Pace, training: Training) -> torch.Tensor:
    """Take one optimiser step on ``batch`` and return the loss, still on the device; NaN or infinity if its gradient is.

    Where several processes share a batch, ``batch`` is the own share; the step and the loss are those of the whole.

    In several parts the loss is the mean of theirs, weighted by their samples; the Dice in it is then that of a part.
    """
    layout = memory_format(batch.images.ndim - 2, channels_last=pace.channels_last)
    asynchronous = pace.device.type == "cuda"  # of pinned memory; the host does not wait for the copy
    state.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=pace.device)
    parts = parts_of(batch, pace.parts)
    samples = pace.ranks.total(torch.tensor([len(part.images) for part in parts], dtype=torch.float64))
    for part, weight in zip(parts, samples / samples.sum(), strict=True):
        with autocast(pace.device, pace.precision):
            outputs = pace.forward(part.images.to(pace.device, memory_format=layout, non_blocking=asynchronous))
        labels = part.labels.to(pace.device, non_blocking=asynchronous)
        known = None if part.known is None else part.known.to(pace.device, non_blocking=asynchronous)
        value = loss(outputs, labels, known) * float(weight)
        state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        total += value.detach()
    pace.ranks.add_gradients(state.network.parameters())
    state.scaler.unscale_(state.optimiser)
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), training.gradient_clip)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    # float16 leaves a step out whose gradient is not finite; otherwise the weights are spoilt, however sound the loss is
    return total if state.scaler.is_enabled() else torch.where(norm.isfinite(), total, norm)


def step_in_memory(
    state: TrainState, batch: Batch, loss: Loss, pace: Pace, training: Training
) -> tuple[torch.Tensor, Pace]:
    """Take one step; where memory runs out, halve what goes through the network at once and try again.

    Returns the loss and the pace that fits. Nothing has been learnt when memory runs out: the optimiser steps last.
    Raises ``TrainingError`` when not even one sample fits.
    """
    while True:
        try:
            return (pace.take or step)(state, batch, loss, pace, training), pace
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            pace.ranks.tell_out_of_memory(error)
            parts = 2 * pace.parts
        # outside the handler, whose traceback holds on to the activations
        state.optimiser.zero_grad(set_to_none=True)
        state.scaler = _renewed(state, pace)
        release_cached(pace.device)
        most = pace.ranks.least(len(batch.images))
        if pace.parts >= most:
            raise TrainingError(
                f"one sample of {tuple(batch.images.shape[2:])} voxels does not fit the memory of {pace.device}.",
                remedy="Plan for what there is (autolv_plan_and_preprocess --memory-gb N), or train with --precision "
                "bfloat16.",
            )
        pace = replace(pace, parts=min(parts, most))
        _log.warning(
            "out of memory: batches of %d go through the network in %d parts from now on.",
            len(batch.images), pace.parts,
        )  # fmt: skip


def _renewed(state: TrainState, pace: Pace) -> torch.amp.GradScaler:
    """Return the scaler as it was before a step that was broken off, of which it may have begun its part."""
    scaler = make_scaler(pace.device, pace.precision)
    scaler.load_state_dict(state.scaler.state_dict())
    return scaler


def fit(
    state: TrainState,
    *,
    batch_of: Callable[[int], Batch],
    loss: Loss,
    pace: Pace,
    training: Training,
    monitor: Callable[[], dict[str, float]],
    on_epoch: Callable[[TrainState], None],
    stop_asked: Callable[[], bool],
    on_step: Callable[[TrainState], None] = lambda _: None,
) -> None:
    """Train until ``pace.total`` iterations are done.

    ``monitor`` returns what to add to an epoch's row of the history; ``on_epoch`` is called after each, ``on_step``
    after each iteration. Raises ``Interrupted`` between two iterations once ``stop_asked`` says so, to any of those who
    share the batches (the caller saves), ``TrainingError`` when the loss is not finite or has run away, or when not even
    one sample fits the memory. All losses have been read, and were sound, whenever ``on_epoch`` is called or
    ``Interrupted`` is raised.
    """
    smallest_share = training.batch_size // pace.ranks.size
    pace = replace(pace, parts=min(max(pace.parts, state.parts), smallest_share))
    unread: list[_Unread] = []
    begun_at = state.iteration
    while state.iteration < pace.total:
        begin = time.monotonic()
        rate = learning_rate(training, state.iteration, pace.total)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        batch = batch_of(state.iteration)
        state.data_seconds += time.monotonic() - begin
        found, pace = step_in_memory(state, batch, loss, pace, training)
        state.parts = pace.parts
        unread.append(_Unread(state.iteration, batch.cases, found))
        last = (state.iteration + 1) % pace.per_epoch == 0 or state.iteration + 1 == pace.total
        if last or len(unread) >= pace.read_every:
            _read(unread, state)
        if state.average:
            update_average(state.average, state.network, training.weight_average, state.iteration)
        state.iteration += 1
        if last:
            _end_epoch(state, rate, pace, monitor, begin)
            on_epoch(state)
        else:
            state.epoch_seconds += time.monotonic() - begin
        on_step(state)
        if state.iteration == begun_at + 1:
            settle(pace.device)
        if pace.ranks.anywhere(stop_asked()) and state.iteration < pace.total:
            _read(unread, state)
            raise Interrupted(
                f"stopped as asked after iteration {state.iteration} of {pace.total}; the state is saved.",
                remedy="Run the same command again to go on from there.",
            )


@dataclass(frozen=True, slots=True)
class _Unread:
    """The loss of an iteration, on the device, and the cases that it is of."""

    iteration: int
    cases: tuple[str, ...]
    loss: torch.Tensor


def _read(unread: list[_Unread], state: TrainState) -> None:
    """Add the losses to the epoch's and empty the list; one that is not finite or has run away is a ``TrainingError``."""
    values = torch.stack([one.loss for one in unread]).tolist() if unread else []
    for one, value in zip(unread, values, strict=True):
        if not value < _RUN_AWAY:  # NaN too
            raise TrainingError(
                f"the loss or its gradient became {value:g} at iteration {one.iteration}, with the cases "
                f"{', '.join(sorted(set(one.cases)))}; the state saved last is kept.",
                remedy="Look at these images; then try --precision float32, or a lower learning rate in the plan.",
            )
        state.loss_sum += value
    unread.clear()


def _end_epoch(
    state: TrainState, rate: float, pace: Pace, monitor: Callable[[], dict[str, float]], begin: float
) -> None:
    done = (state.iteration - 1) % pace.per_epoch + 1
    row = {"epoch": float(len(state.history) + 1), "iteration": float(state.iteration)}
    row |= {"loss": state.loss_sum / done, "learning_rate": rate} | monitor()
    state.epoch_seconds += time.monotonic() - begin
    row["seconds"] = state.epoch_seconds
    row["data_seconds"] = state.data_seconds
    state.seconds += state.epoch_seconds
    state.history.append(row)
    state.loss_sum = 0.0
    state.epoch_seconds = state.data_seconds = 0.0


@torch.no_grad()
def monitor_dice(
    network: torch.nn.Module, batches: Sequence[Batch], structures: Sequence[str], pace: Pace
) -> dict[str, float]:
    """Return ``{"dice_<structure>": ...}`` over all voxels of ``batches``; NaN where a structure does not occur.

    Samples in which a structure is not annotated do not count for it.
    """
    network.eval()
    both = torch.zeros(len(structures), dtype=torch.float64)
    sums = torch.zeros(len(structures), dtype=torch.float64)
    for batch in batches:
        with autocast(pace.device, pace.precision):
            labels = network(batch.images.to(pace.device))[0].argmax(1).cpu()
        for index in range(len(structures)):
            counted = slice(None) if batch.known is None else batch.known[:, index + 1]
            predicted, reference = labels[counted] == index + 1, batch.labels[counted] == index + 1
            both[index] += (predicted & reference).sum()
            sums[index] += predicted.sum() + reference.sum()
    network.train()
    values = (2 * both / sums).tolist()  # 0 / 0 gives NaN: undefined
    return {f"dice_{name}": value for name, value in zip(structures, values, strict=True)}

"""Whole training steps as one CUDA graph: forward, loss, backward, clipping and optimiser start by a single launch.

A small network's step is a thousand kernels of microseconds each, which a host launches more slowly than a GPU runs them.
"""

from __future__ import annotations

from typing import final

import torch

from autolv.schema.plan import Training
from autolv.training.loop import Loss, Pace, step
from autolv.training.sampler import Batch
from autolv.training.state import TrainState

EAGER_STEPS = (
    3  # what is made or chosen at first use (the optimiser's moments, convolution algorithms) is there by then
)


@final
class GraphedStep:
    """Takes steps as ``step`` does, on a CUDA device, from the fourth on as replays of a graph of one.

    The first steps and those whose batch has another shape than the graph's are taken as ``step`` takes them. The graph holds
    the addresses of the network's weights and the optimiser's moments: neither may be replaced while it is used. Not
    for batches that go through the network in parts, for several processes, nor for float16, whose scaler the host steers.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, state: TrainState, batch: Batch, loss: Loss, pace: Pace, training: Training) -> torch.Tensor:
        """Take one step on ``batch``; return the loss, still on the device."""
        fits = pace.parts == 1 and pace.ranks.size == 1 and not state.scaler.is_enabled()
        if not fits or self._taken < EAGER_STEPS:
            self._taken += 1
            return step(state, batch, loss, pace, training)
        if self._graph is None:
            self._capture(state, batch, loss, pace, training)
        if self._graph is None or not self._alike(batch):
            return step(state, batch, loss, pace, training)
        _fill(self._batch, batch)
        self._rate.fill_(float(state.optimiser.param_groups[0]["lr"]))
        self._graph.replay()
        return self._loss.clone()

    def _capture(self, state: TrainState, batch: Batch, loss: Loss, pace: Pace, training: Training) -> None:
        """Record a step without taking it; raises what CUDA raises where a part of it cannot be recorded."""
        self._batch = Batch(
            images=torch.empty_like(batch.images, device=pace.device),
            labels=torch.empty_like(batch.labels, device=pace.device),
            cases=batch.cases,
            known=None if batch.known is None else torch.empty_like(batch.known, device=pace.device),
        )
        _fill(self._batch, batch)
        groups = state.optimiser.param_groups
        rates = [group["lr"] for group in groups]
        self._rate = torch.tensor(float(rates[0]), device=pace.device)
        graph = torch.cuda.CUDAGraph()
        state.optimiser.zero_grad(set_to_none=True)  # gradients are then the graph's own
        try:
            for group in groups:
                group.update({"lr": self._rate} | ({"capturable": True} if "capturable" in group else {}))
            torch.cuda.synchronize(pace.device)
            with torch.cuda.graph(graph):
                self._loss = step(state, self._batch, loss, pace, training)
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group.update({"lr": rate} | ({"capturable": False} if "capturable" in group else {}))
        self._graph = graph

    def _alike(self, batch: Batch) -> bool:
        mine, other = self._batch, batch
        return mine.images.shape == other.images.shape and (mine.known is None) == (other.known is None)


def _fill(target: Batch, source: Batch) -> None:
    target.images.copy_(source.images, non_blocking=True)
    target.labels.copy_(source.labels, non_blocking=True)
    if target.known is not None and source.known is not None:
        target.known.copy_(source.known, non_blocking=True)

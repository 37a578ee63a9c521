"""One fold's job, and the network that it begins with: a function of the configuration and the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import torch

from autolv.imageio.store import StoredCase
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.pipeline.start import Start
from autolv.runtime.device import memory_format
from autolv.runtime.ranks import Alone, Ranks
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration
from autolv.schema.results import RunChoices
from autolv.training.loop import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldJob:
    """Everything that training one fold needs.

    ``ranks``: the processes that train it together. ``from_disk``: the files of ``train_cases`` where these do not fit
    into memory, else none. ``steps`` is where the fastest way to take steps is remembered, ``None`` for nowhere;
    ``retry_trial`` times the ways whatever lies there. ``log``: what keeps the history beside ``history.csv``.
    """

    place: Path
    dataset: Dataset
    run: str
    fold: int
    configuration: Configuration
    choices: RunChoices
    train_patients: tuple[str, ...]
    validation_patients: tuple[str, ...]
    train_cases: Sequence[StoredCase]
    validation_cases: Sequence[StoredCase]
    device: str
    precision: str
    compile_mode: str
    overwrite: bool
    start: Start | None
    ranks: Ranks = field(default_factory=Alone)
    from_disk: tuple[Path, ...] = ()
    workers: int = 0
    layout: str = "auto"
    steps: Path | None = None
    retry_trial: bool = False
    log: Literal["tensorboard"] | None = None


def fresh_network(job: FoldJob) -> torch.nn.Module:
    """Return the fold's untrained network: the same for the same configuration, seed and fold."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(job))
        return build_network(job.configuration.network).train()


def laid_out(network: torch.nn.Module, configuration: Configuration, *, channels_last: bool) -> torch.nn.Module:
    """Return ``network`` with its weights in the memory layout that its steps are taken in."""
    layout = memory_format(configuration.network.dimensions, channels_last=channels_last)
    return cast("torch.nn.Module", network.to(memory_format=layout))  # type: ignore[call-overload]


def loss_of(configuration: Configuration, ranks: Ranks) -> Loss:
    """Return the plan's loss, of batches that ``ranks`` share."""
    training = configuration.training
    loss = LOSSES.get(training.loss)(total=ranks.total)
    return cast("Loss", DeepSupervisionLoss(loss, training.deep_supervision_weights))


def seed_of(job: FoldJob) -> int:
    """Return the seed of a fold: folds of one run differ in their order of batches and their first weights."""
    return job.choices.seed * 1000 + job.fold

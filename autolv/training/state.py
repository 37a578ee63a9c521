"""All that a run is, in one record that saves and loads together."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch

from autolv.core.errors import TrainingError
from autolv.schema.plan import Training
from autolv.schema.record import NewFile, write_bytes

_log = logging.getLogger(__name__)
_DIGEST_BYTES = hashlib.sha256().digest_size
_SECOND_MOMENT = 0.999  # Kingma 2015


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Network, optimiser, position and history of a run.

    ``iteration`` counts finished iterations; the batch of an iteration depends on its number alone, so this is also the
    position in the data. ``loss_sum``, ``epoch_seconds`` and ``data_seconds`` (of these, those spent on getting batches)
    belong to the epoch under way. ``parts`` is in how many parts a batch goes through the network, more than one where
    memory has run out. ``average`` is the moving average of the weights, in the order of ``network.parameters()``; empty
    where none is kept. ``scaler`` scales the loss in float16 and does nothing in other precisions.
    """

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    iteration: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    data_seconds: float = 0.0
    seconds: float = 0.0
    parts: int = 1
    average: list[torch.Tensor] = field(default_factory=list)
    scaler: torch.amp.GradScaler = field(default_factory=lambda: make_scaler(torch.device("cpu"), "float32"))
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the state to ``path``, whole or not at all; the state before it is kept as ``<path>.previous``."""
        content = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
            "loss_sum": self.loss_sum,
            "epoch_seconds": self.epoch_seconds,
            "data_seconds": self.data_seconds,
            "seconds": self.seconds,
            "parts": self.parts,
            "average": self.average,
            "scaler": self.scaler.state_dict(),
            "history": self.history,
        }
        file = NewFile(path, hashed=True)
        try:
            torch.save(content, cast("IO[bytes]", file))  # piece by piece: in memory it would be there twice
            file.write(bytes.fromhex(file.sha256))
            _keep_previous(path)
            file.place()
        finally:
            file.drop()

    def load(self, path: Path) -> bool:
        """Take the state saved at ``path``, or, if that is damaged, the one before it; ``False`` if there is none.

        What is read is what was written: its SHA-256 stands at its end. Raises ``TrainingError`` if there are files but
        none can be read.
        """
        found = [candidate for candidate in (path, _previous(path)) if candidate.exists()]
        for candidate in found:
            try:
                saved: dict[str, Any] = torch.load(_whole(candidate), map_location="cpu", weights_only=True)
                self.network.load_state_dict(saved["network"])
                self.optimiser.load_state_dict(saved["optimiser"])
                self._take_average(saved.get("average", []))
                self.scaler.load_state_dict(saved.get("scaler", {}))
            except Exception as error:  # noqa: BLE001 - torch raises many kinds for a file of another network
                _log.warning("%s cannot be read (%s); trying the state before it.", candidate, type(error).__name__)
                continue
            self.iteration = int(saved["iteration"])
            self.loss_sum = float(saved["loss_sum"])
            self.epoch_seconds = float(saved["epoch_seconds"])
            self.data_seconds = float(saved.get("data_seconds", 0.0))
            self.seconds = float(saved["seconds"])
            self.parts = int(saved.get("parts", 1))
            self.history = [{str(k): float(v) for k, v in row.items()} for row in saved["history"]]
            return True
        if found:
            raise TrainingError(
                f"neither {path} nor the state before it can be read.", remedy="Train the fold anew with --overwrite."
            )
        return False

    @torch.no_grad()
    def _take_average(self, saved: list[torch.Tensor]) -> None:
        for mine, theirs in zip(self.average, saved, strict=True):
            mine.copy_(theirs)


def _whole(path: Path) -> io.BytesIO:
    """Return the content of a saved state without its checksum, which it must have."""
    content = path.read_bytes()
    data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("it is not what was written")
    return io.BytesIO(data)


def _keep_previous(path: Path) -> None:
    """Give the state at ``path``, if there is one, its second name, until a new state has taken the first."""
    if not path.exists():
        return
    previous = _previous(path)
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:  # a file system without hard links
        write_bytes(previous, path.read_bytes())


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def make_optimiser(network: torch.nn.Module, training: Training) -> torch.optim.Optimizer:
    """Return the plan's optimiser; weight decay is not applied to biases, norms and other vectors."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    if training.optimiser == "adamw":
        return torch.optim.AdamW(
            groups,
            lr=training.learning_rate,
            betas=(training.momentum, _SECOND_MOMENT),
            weight_decay=training.weight_decay,
            fused=_can_fuse(network),
        )
    return torch.optim.SGD(
        groups,
        lr=training.learning_rate,
        momentum=training.momentum,
        nesterov=training.momentum > 0,
        weight_decay=training.weight_decay,
        fused=_can_fuse(network),
    )


def make_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return what keeps small gradients from becoming zero in float16 (Micikevicius 2018): identity in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def _can_fuse(network: torch.nn.Module) -> bool:
    return next(network.parameters()).device.type in ("cpu", "cuda")

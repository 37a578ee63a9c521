"""Folds trained by autolv's own loop from a pack, in pieces of limited time, and scored on the original grid."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from autolv.core.errors import Interrupted, TrainingError
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.inference.ensemble import most_probable
from autolv.inference.windows import SlidingWindows
from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.preprocessing.inverse import on_whole_grid, restore_part
from autolv.runtime.device import device_name, memory_format, prepare
from autolv.schema.plan import Configuration, Network
from autolv.schema.record import write_bytes, write_text
from autolv.schema.steps import Way
from autolv.training.average import averaged_from, exchange
from autolv.training.loop import Loss, Pace, fit
from autolv.training.sampler import Sampler
from autolv.training.state import TrainState, make_optimiser, make_scaler
from autolv.training.trial import forward_of, take_of
from on_gpu.packed import Pack, PackedCase, training_case
from on_gpu.parts import join_file, split_file

_log = logging.getLogger(__name__)
_SAVE_EVERY_S = 60.0
_READ_EVERY = 32  # iterations between two looks at the losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may not change between the pieces of a run."""

    pack: str
    configuration: str
    splits: str
    iterations: int
    seed: int
    precision: str
    channels_last: bool
    compiled: bool
    graphs: bool
    deterministic: bool

    @property
    def way(self) -> Way:
        """The way in which steps are taken."""
        return Way.model_validate(
            {
                "precision": self.precision,
                "channels_last": self.channels_last,
                "compiled": self.compiled,
                "graphs": self.graphs,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the files of one configuration lie: ``<name>.json``, and for each fold its weights and its state."""

    folder: Path
    name: str

    @property
    def results(self) -> Path:
        """Settings, scores and seconds."""
        return self.folder / f"{self.name}.json"

    def weights(self, fold: int) -> Path:
        """The weights of a fold in half precision."""
        return self.folder / f"{self.name}_fold{fold}.npz"

    def state(self, fold: int) -> Path:
        """The state of a fold that is not finished."""
        return self.folder / f"{self.name}_fold{fold}.state"


def run_folds(
    pack: Pack,
    name: str,
    folds: Sequence[int],
    settings: Settings,
    folder: Path,
    *,
    device: torch.device,
    stop_asked: Callable[[], bool],
    part_bytes: int | None = None,
) -> bool:
    """Train and score ``folds`` as far as one piece gets; return whether all are done.

    Each piece takes at least one step or scores one fold. With ``part_bytes`` the state of a fold that is not finished
    is left in parts of at most that size. Raises ``TrainingError`` where the folder is of a run with other settings.
    """
    prepare(device)
    place, configuration = Place(folder=folder, name=name), pack.configuration(name)
    results = _results(place, settings)
    worked = False
    for fold in folds:
        known = results["folds"].setdefault(str(fold), {"train_seconds": 0.0})
        if "dice" in known:
            continue
        if worked and stop_asked():
            return False
        if not place.weights(fold).exists():
            finished = _train(pack, configuration, fold, settings, place, known, device, stop_asked)
            write_text(place.results, json.dumps(results))
            if not finished and part_bytes is not None:
                split_file(place.state(fold), part_bytes)
            if not finished or stop_asked():
                return False
        begin = time.monotonic()
        network = _trained(configuration.network, settings, place.weights(fold), device)
        known["dice"] = _score(
            network, pack.of(pack.splits.folds[fold].validation), configuration.network, settings, device
        )
        known |= {"score_seconds": time.monotonic() - begin, "device": device_name(device)}
        write_text(place.results, json.dumps(results))
        worked = True
        _log.info("%s fold %d: %s", name, fold, _in_words(known))
    return True


def loss_of(configuration: Configuration) -> Loss:
    """Return the plan's loss."""
    loss = LOSSES.get(configuration.training.loss)()
    return cast("Loss", DeepSupervisionLoss(loss, configuration.training.deep_supervision_weights))


def trained_by(configuration: Configuration) -> str:
    """Return a hash of all numbers of a configuration that shape a training."""
    return hashlib.sha256("".join(configuration.block_hashes()).encode()).hexdigest()[:16]


def fresh_network(network: Network, seed: int, way: Way, device: torch.device) -> torch.nn.Module:
    """Return the untrained network of a seed, on ``device`` and in the layout of ``way``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_network(network).train().to(device)
    layout = memory_format(network.dimensions, channels_last=way.channels_last)
    return cast("torch.nn.Module", built.to(memory_format=layout))


def _results(place: Place, settings: Settings) -> dict[str, Any]:
    """Return what is known of the run that ``place`` is of, which must have the same settings."""
    if not place.results.exists():
        return {"settings": asdict(settings), "folds": {}}
    results: dict[str, Any] = json.loads(place.results.read_text(encoding="utf-8"))
    if results["settings"] != asdict(settings):
        raise TrainingError(
            f"{place.results} is of a run with other settings: {results['settings']}.",
            remedy="Give the same options, or another --out.",
        )
    return results


def _train(
    pack: Pack,
    configuration: Configuration,
    fold: int,
    settings: Settings,
    place: Place,
    known: dict[str, Any],
    device: torch.device,
    stop_asked: Callable[[], bool],
) -> bool:
    """Train a fold from where it stopped; return whether it is finished, its weights written then and its state gone."""
    training, seed = configuration.training, settings.seed * 1000 + fold
    cases = [training_case(case, device) for case in pack.of(pack.splits.folds[fold].train)]
    sampler = Sampler(cases, configuration.network, training, seed=seed)
    network = fresh_network(configuration.network, seed, settings.way, device)
    state = TrainState(
        network=network,
        optimiser=make_optimiser(network, training),
        average=averaged_from(network) if training.weight_average > 0 else [],
        scaler=make_scaler(device, settings.precision),
    )
    path = place.state(fold)
    join_file(path)
    if state.load(path):
        _log.info("%s fold %d goes on at iteration %d", place.name, fold, state.iteration)
    pace = Pace(
        device=device, precision=settings.precision, channels_last=settings.channels_last,
        forward=forward_of(network, settings.way), total=settings.iterations,
        per_epoch=max(1, min(settings.iterations, -(-len(sampler) // training.batch_size))),
        read_every=1 if device.type == "cpu" else _READ_EVERY, take=take_of(settings.way),
    )  # fmt: skip
    saved = time.monotonic()

    def after_epoch(state: TrainState) -> None:
        nonlocal saved
        if time.monotonic() - saved > _SAVE_EVERY_S:
            state.save(path)
            saved = time.monotonic()

    before, finished = _seconds(state), True
    try:
        fit(
            state, batch_of=sampler.batch, loss=loss_of(configuration), pace=pace, training=training, monitor=dict,
            on_epoch=after_epoch, stop_asked=stop_asked,
        )  # fmt: skip
    except Interrupted:
        state.save(path)
        finished = False
    known |= {"train_seconds": _seconds(state), "history": state.history, "torch": str(torch.__version__)}
    _log.info("%s fold %d: iteration %d of %d, %.1f s of steps in this piece", place.name, fold, state.iteration,
              settings.iterations, known["train_seconds"] - before)  # fmt: skip
    if finished:
        exchange(network, state.average)
        _write_half(place.weights(fold), network)
        path.unlink(missing_ok=True)
    path.with_name(path.name + ".previous").unlink(missing_ok=True)
    return finished


def _seconds(state: TrainState) -> float:
    return state.seconds + state.epoch_seconds


def _write_half(path: Path, network: torch.nn.Module) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: tensor.half().cpu().numpy() for name, tensor in network.state_dict().items()})
    write_bytes(path, buffer.getvalue())


def _trained(network: Network, settings: Settings, weights: Path, device: torch.device) -> torch.nn.Module:
    """Return the network with the weights as they were written, in half precision, in evaluation mode."""
    built = fresh_network(network, 0, settings.way, device)
    with np.load(weights) as file:
        built.load_state_dict({name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files})
    return built.eval()


def _score(
    network: torch.nn.Module, cases: Sequence[PackedCase], plan: Network, settings: Settings, device: torch.device
) -> list[dict[str, Any]]:
    """Return each case's Dice on its original grid, as predicted: one network, no mirroring, no post-processing."""
    windows = SlidingWindows(
        network, plan, device=device, precision=settings.precision, channels_last=settings.channels_last
    )
    rows = []
    for packed in cases:
        labels = _labels(windows, packed)
        histogram = joint_histogram(labels, packed.reference, plan.classes)
        hidden = packed.record.not_annotated
        dice = {
            name: None if name in hidden else overlap_of(histogram, channel).dice
            for channel, name in enumerate(packed.record.label_voxels, start=1)
        }
        rows.append({"case": packed.record.case, "patient": packed.record.patient, "dice": dice})
    return rows


def _labels(windows: SlidingWindows, packed: PackedCase) -> NDArray[np.uint8]:
    """Return a case's labels on its original grid, background where the pack holds no image."""
    found = None if windows.fits_one_window(packed.image.shape) else windows.find_heart(packed.image)
    logits = None if found is None else windows.about_heart(packed.image, found)
    if logits is None:
        logits = windows.whole_field(packed.image)
    z, y, x = ((start + low, start + high) for (start, _), (low, high) in zip(packed.window, logits.box, strict=True))
    probabilities, box = restore_part(logits.array, (z, y, x), packed.record.grid)
    return most_probable(on_whole_grid(probabilities, box, packed.record.grid.original_shape))


def _in_words(known: dict[str, Any]) -> str:
    names = known["dice"][0]["dice"]
    values = {name: [row["dice"][name] for row in known["dice"] if row["dice"][name] is not None] for name in names}
    dice = ", ".join(f"{name} {np.nanmean(found):.4f}" for name, found in values.items() if found)
    return f"{known['train_seconds']:.0f} s of steps, {known['score_seconds']:.0f} s of scoring; Dice {dice}"

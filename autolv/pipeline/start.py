"""Starting from a model that is there: whatever of its weights fits is taken, and what does not is listed by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from autolv.core.errors import ModelError, TrainingError
from autolv.inference.model_folder import RECORD, load_network, read_model
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord

_log = logging.getLogger(__name__)
_LISTED = 12
_REMEDY = "Name a model folder (of autolv_find_best_config), or a fold's folder, with --init-from."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Weights to begin with: where they lie, what they segment, and on which patients of which dataset they learnt.

    ``patients`` is ``None`` where that is not written down.
    """

    place: Path
    weights: Mapping[str, torch.Tensor]
    structures: tuple[str, ...]
    dataset: str
    patients: tuple[str, ...] | None


def read_start(place: Path, configuration: str) -> Start:
    """Return the weights in a fold's folder, or in a model folder those of ``configuration`` (else its first member's).

    Raises ``ModelError`` if ``place`` is neither, or if it is not whole.
    """
    if (place / "run.json").is_file():
        record = read_record(RunRecord, place / "run.json")
        if record.status == "training":
            raise ModelError(f"{place} is not trained to its end.", remedy="Finish it, or name another fold.")
        try:
            weights = load_file(place / "weights.safetensors")
        except (OSError, SafetensorError) as error:
            raise ModelError(f"cannot read the weights in {place} ({error}).", remedy=_REMEDY) from error
        return Start(
            place=place, weights=weights, structures=record.structures, dataset=record.dataset,
            patients=record.train_patients,
        )  # fmt: skip
    if not (place / RECORD).is_file():
        raise ModelError(f"{place} is neither a model folder nor a trained fold.", remedy=_REMEDY)
    best = read_model(place)
    member = next((m for m in best.members if m.configuration == configuration), best.members[0])
    weights = load_network(place, best, member).state_dict()
    return Start(place=place, weights=weights, structures=best.structures, dataset=best.dataset, patients=None)


def refuse_leak(start: Start, dataset: str, validation_patients: Sequence[str]) -> None:
    """Refuse weights that may have learnt from the patients that a fold is validated on."""
    if start.dataset != dataset:
        return
    if start.patients is None:
        raise TrainingError(
            f"the model {start.place} was trained on {dataset} itself; its folds would have seen these patients.",
            remedy="Name the folder of one fold (results/.../fold_K), whose patients are known, with --init-from.",
        )
    seen = sorted(set(start.patients) & set(validation_patients))
    if seen:
        raise TrainingError(
            f"{start.place} was trained on {len(seen)} of this fold's {len(validation_patients)} validation patients "
            f"({', '.join(seen[:3])}, ...).",
            remedy="Train the fold with the same number from it with -f, or begin from a model of other patients.",
        )


def begin_from(network: torch.nn.Module, start: Start, structures: Sequence[str]) -> None:
    """Put into ``network`` whatever of ``start`` has its name and shape; log what does not.

    The rows of a head go by structure, so that a model of other structures still lends those it shares. Raises
    ``TrainingError`` where nothing fits.
    """
    own = network.state_dict()
    taken: dict[str, torch.Tensor] = {}
    unfit = []
    for name, tensor in own.items():
        given = start.weights.get(name)
        rows = None if given is None else _by_structure(name, given, tensor, start.structures, structures)
        if rows is not None:
            taken[name] = rows
        else:
            there = "not there" if given is None else f"{tuple(given.shape)} there"
            unfit.append(f"{name} {tuple(tensor.shape)}: {there}")
    unfit += [f"{name} {tuple(start.weights[name].shape)}: only there" for name in start.weights if name not in own]
    if not taken:
        raise TrainingError(
            f"nothing of {start.place} fits this network.",
            remedy="Train the configuration that it was trained as, with -c, or plan for the same width.",
        )
    network.load_state_dict({**own, **taken})
    _log.info("begins from %s: %d of %d tensors fit", start.place, len(taken), len(own))
    if unfit:
        more = f"\n  ... and {len(unfit) - _LISTED} more" if len(unfit) > _LISTED else ""
        _log.warning("these do not fit and begin anew:\n  %s%s", "\n  ".join(unfit[:_LISTED]), more)


def _by_structure(
    name: str, given: torch.Tensor, own: torch.Tensor, theirs: Sequence[str], ours: Sequence[str]
) -> torch.Tensor | None:
    """Return what of ``given`` belongs into the tensor ``own``, ``None`` where the shapes do not allow it."""
    if not name.startswith("heads.") or tuple(theirs) == tuple(ours):
        return given if given.shape == own.shape else None
    if given.shape[1:] != own.shape[1:] or len(given) != len(theirs) + 1 or not set(theirs) & set(ours):
        return None
    result = own.clone()
    result[0] = given[0]  # background
    for row, structure in enumerate(ours, start=1):
        if structure in theirs:
            result[row] = given[1 + list(theirs).index(structure)]
    return result

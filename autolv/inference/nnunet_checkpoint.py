"""The checkpoints of nnU-Net's trainer: read without running anything in them, and their weights in our names.

A checkpoint is a zip of a pickle and of tensors. torch's ``weights_only`` reader builds tensors and plain values from it, and
what is named here: numbers and types of numpy, which nnU-Net leaves among the settings and the log. Anything else that
the pickle asks for is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autolv.core.errors import ModelError
from autolv.networks import build_network
from autolv.schema.plan import Ints, Network

_REMEDY = "Name a folder that nnUNetv2_train of nnU-Net 2 has written, with its checkpoints as they were."
_SCALAR = np.float64(0).__reduce__()[0]  # numpy's own function that makes a number from its bytes
# Under numpy 1 and 2 the same function goes by two names.
_HARMLESS: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (bool, *"bhilqBHILQefd")),
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """What prediction needs of a checkpoint; ``mirror_axes`` count from 0, the first spatial axis of the network."""

    trainer: str
    configuration: str
    mirror_axes: Ints
    weights: dict[str, Tensor]


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what a checkpoint holds; raises ``ModelError`` if it cannot be read without running code, or lacks something."""
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read the checkpoint {path} ({error.strerror}).", remedy=_REMEDY) from error
    except Exception as error:
        wanted = [line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line]
        detail = f" ({wanted[0].strip()})" if wanted else ""
        raise ModelError(
            f"{path} cannot be read as weights and plain values alone{detail}: it is damaged, or it would run code.",
            remedy=_REMEDY,
        ) from error
    try:
        axes = content.get("inference_allowed_mirroring_axes") or ()
        return Checkpoint(
            trainer=str(content["trainer_name"]),
            configuration=str(content["init_args"]["configuration"]),
            mirror_axes=tuple(int(axis) for axis in axes),
            weights={_plain(key): value for key, value in content["network_weights"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a checkpoint of nnU-Net's trainer ({error!r}).", remedy=_REMEDY) from error


def our_weights(network: Network, theirs: Mapping[str, Tensor], channels: Sequence[int]) -> dict[str, Tensor]:
    """Return nnU-Net's weights under the names of the network that ``build_network`` makes of ``network``.

    ``channels`` are nnU-Net's output channels in the order of ours. Biases ahead of a normalisation, which takes them away
    again, and the heads of deep supervision are left out. Raises ``ModelError`` where a weight is missing or of another
    shape, or where there is one that such a network has not.
    """
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    for ours, name in (*_encoder(network), *_decoder(network)):
        if name not in theirs:
            raise ModelError(f"the weights of this {network.architecture} lack {name!r}.", remedy=_REMEDY)
        found[ours] = theirs[name].float()
        used.add(name)
    for part in ("weight", "bias"):
        head = f"heads.0.{part}"
        found[head] = found[head][list(channels)]
    extra = sorted(name for name in theirs if name not in used and not _idle(name, used))
    if extra:
        raise ModelError(
            f"a {network.architecture} has no weight {extra[0]!r}: nnU-Net's network was another one.", remedy=_REMEDY
        )
    with torch.device("meta"):
        wanted = build_network(network).state_dict()
    for name, value in found.items():
        if value.shape != wanted[name].shape:
            raise ModelError(
                f"the weights {name!r} are {tuple(value.shape)}, the plans' network has {tuple(wanted[name].shape)}.",
                remedy=_REMEDY,
            )
    return {name: value.contiguous() for name, value in found.items()}


def _plain(key: str) -> str:
    """Return a weight's name without what compiled and distributed modules put before it."""
    return key.removeprefix("module.").removeprefix("_orig_mod.")


def _idle(name: str, used: set[str]) -> bool:
    """Return whether a weight plays no part: a second name, a bias ahead of a normalisation, a coarser head."""
    return (
        ".all_modules." in name
        or name.startswith(("decoder.encoder.", "decoder.seg_layers."))
        or (name.endswith(".conv.bias") and name.replace(".conv.bias", ".norm.weight") in used)
    )


def _normalised(ours: str, norm: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.weight", f"{theirs}.conv.weight"
    yield f"{norm}.weight", f"{theirs}.norm.weight"
    yield f"{norm}.bias", f"{theirs}.norm.bias"


def _stack(ours: str, theirs: str, count: int) -> Iterator[tuple[str, str]]:
    """Yield the names in ``count`` times convolution, normalisation, leaky ReLU."""
    for i in range(count):
        yield from _normalised(f"{ours}.{3 * i}", f"{ours}.{3 * i + 1}", f"{theirs}.convs.{i}")


def _encoder(network: Network) -> Iterator[tuple[str, str]]:
    if network.architecture == "unet":
        for s, count in enumerate(network.blocks):
            yield from _stack(f"encoder.{s}", f"encoder.stages.{s}.0", count)
        return
    yield from _stack("encoder.0.0", "encoder.stem", 1)
    inputs = (network.features[0], *network.features[:-1])
    for s, count in enumerate(network.blocks):
        for b in range(count):
            ours, theirs = f"encoder.{s}.{b + (s == 0)}", f"encoder.stages.{s}.blocks.{b}"
            yield from _normalised(f"{ours}.first.0", f"{ours}.first.1", f"{theirs}.conv1")
            yield from _normalised(f"{ours}.second.0", f"{ours}.second.1", f"{theirs}.conv2")
            if b == 0 and inputs[s] != network.features[s]:
                place = int(max(network.strides[s]) > 1)  # behind the pooling, where there is one
                yield from _normalised(f"{ours}.skip.0", f"{ours}.skip.1", f"{theirs}.skip.{place}")


def _decoder(network: Network) -> Iterator[tuple[str, str]]:
    last = network.stages - 2
    for s, count in enumerate(network.decoder_blocks):
        their = last - s  # nnU-Net counts from the coarsest
        yield from _stack(f"decoder.{s}", f"decoder.stages.{their}", count)
        for part in ("weight", "bias"):
            yield f"ups.{s}.{part}", f"decoder.transpconvs.{their}.{part}"
    for part in ("weight", "bias"):
        yield f"heads.0.{part}", f"decoder.seg_layers.{last}.{part}"

"""What a network costs, counted from the plan's network block alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autolv.core.errors import PlanError
from autolv.schema.plan import Ints, Network, Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One network's cost.

    ``forward_flops`` are those of the convolutions for one sample, two per multiply-add; ``activations`` counts the
    numbers in all convolutions' outputs for one sample, as nnU-Net's memory model does (Isensee 2021).
    """

    parameters: int
    forward_flops: int
    activations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A convolution with what follows it: ``extra`` learnt numbers per output channel (bias, normalisation, PReLU).

    ``voxels`` is the size of its output; a transposed one multiplies at each of its ``input_voxels`` instead.
    """

    kernel: Ints
    inputs: int
    outputs: int
    voxels: int
    extra: int
    input_voxels: int | None = None

    @property
    def parameters(self) -> int:
        """The learnt numbers."""
        return (math.prod(self.kernel) * self.inputs + self.extra) * self.outputs

    @property
    def flops(self) -> int:
        """Two per multiply-add."""
        places = self.voxels if self.input_voxels is None else self.input_voxels
        return 2 * math.prod(self.kernel) * self.inputs * self.outputs * places


_NORM = 2  # scale and shift
_BIAS = 1
_PRELU = 1


def network_cost(network: Network) -> Cost:
    """Return the cost of the network that the plan's block describes; an unknown architecture is a ``PlanError``."""
    if network.architecture not in _LAYERS:
        raise PlanError(
            f"the cost of the architecture {network.architecture!r} is not known.",
            remedy=f"Known: {', '.join(sorted(_LAYERS))}.",
        )
    layers = list(_LAYERS[network.architecture](network))
    return Cost(
        parameters=sum(layer.parameters for layer in layers),
        forward_flops=sum(layer.flops for layer in layers),
        activations=sum(layer.outputs * layer.voxels for layer in layers),
    )


def flops_per_mm3(network: Network, block: Preprocessing, own_slice_mm: float) -> float:
    """Return the forward operations per mm³ of image, in which networks on different grids can be compared.

    ``own_slice_mm`` is the slice spacing where the block keeps each stack's own.
    """
    slice_mm = own_slice_mm if block.slice_spacing_mm is None else block.slice_spacing_mm
    voxel_mm3 = math.prod(block.in_plane_spacing_mm) * slice_mm
    return network_cost(network).forward_flops / (math.prod(network.patch) * voxel_mm3)


def stage_voxels(network: Network) -> Ints:
    """Return the number of voxels of each stage's feature maps."""
    size, voxels = list(network.patch), []
    for stride in network.strides:
        size = [n // s for n, s in zip(size, stride, strict=True)]
        voxels.append(math.prod(size))
    return tuple(voxels)


def _stack(kernel: Ints, inputs: int, outputs: int, voxels: int, count: int, extra: int) -> Iterator[Layer]:
    """Yield ``count`` convolutions one after another."""
    for i in range(count):
        yield Layer(kernel=kernel, inputs=outputs if i else inputs, outputs=outputs, voxels=voxels, extra=extra)


def _unet(network: Network) -> Iterator[Layer]:
    features, kernels, voxels = network.features, network.kernels, stage_voxels(network)
    for s, inputs in enumerate((network.in_channels, *features[:-1])):  # no bias ahead of a normalisation
        yield from _stack(kernels[s], inputs, features[s], voxels[s], network.blocks[s], _NORM)
    yield from _plain_decoder(network)


def _plain_decoder(network: Network) -> Iterator[Layer]:
    features, kernels, voxels = network.features, network.kernels, stage_voxels(network)
    for s, blocks in enumerate(network.decoder_blocks):
        yield Layer(
            kernel=network.strides[s + 1], inputs=features[s + 1], outputs=features[s], voxels=voxels[s],
            extra=_BIAS, input_voxels=voxels[s + 1],
        )  # fmt: skip
        yield from _stack(kernels[s], 2 * features[s], features[s], voxels[s], blocks, _NORM)
    yield from _heads(network, features)


def _attention_unet(network: Network) -> Iterator[Layer]:
    yield from _unet(network)
    features, voxels, point = network.features, stage_voxels(network), (1,) * network.dimensions
    for s in range(network.stages - 1):
        skip, gating, hidden, coarse = features[s], features[s + 1], max(1, features[s] // 2), voxels[s + 1]
        yield Layer(kernel=network.strides[s + 1], inputs=skip, outputs=hidden, voxels=coarse, extra=0)
        yield Layer(kernel=point, inputs=gating, outputs=hidden, voxels=coarse, extra=_BIAS)
        yield Layer(kernel=point, inputs=hidden, outputs=1, voxels=coarse, extra=_BIAS)
        yield Layer(kernel=point, inputs=skip, outputs=skip, voxels=voxels[s], extra=_NORM)


def _resenc_unet(network: Network) -> Iterator[Layer]:
    features, kernels, voxels = network.features, network.kernels, stage_voxels(network)
    point = (1,) * network.dimensions
    yield from _stack(kernels[0], network.in_channels, features[0], voxels[0], 1, _NORM)
    for s, inputs in enumerate((features[0], *features[:-1])):
        yield from _stack(kernels[s], inputs, features[s], voxels[s], 2 * network.blocks[s], _NORM)
        if inputs != features[s]:
            yield Layer(kernel=point, inputs=inputs, outputs=features[s], voxels=voxels[s], extra=_NORM)
    yield from _plain_decoder(network)


def _vnet(network: Network) -> Iterator[Layer]:
    features, kernels, voxels = network.features, network.kernels, stage_voxels(network)
    extra = _NORM + _PRELU
    yield from _stack(kernels[0], network.in_channels, features[0], voxels[0], network.blocks[0], extra)
    for s in range(1, network.stages):
        yield Layer(
            kernel=network.strides[s], inputs=features[s - 1], outputs=features[s], voxels=voxels[s], extra=extra
        )
        yield from _stack(kernels[s], features[s], features[s], voxels[s], network.blocks[s], extra)
    widths = tuple(2 * width for width in features[:-1])
    below = (*widths[1:], features[-1])
    for s, blocks in enumerate(network.decoder_blocks):
        yield Layer(
            kernel=network.strides[s + 1], inputs=below[s], outputs=features[s], voxels=voxels[s],
            extra=extra, input_voxels=voxels[s + 1],
        )  # fmt: skip
        yield from _stack(kernels[s], widths[s], widths[s], voxels[s], blocks, extra)
    yield from _heads(network, widths)


def _heads(network: Network, widths: Ints) -> Iterator[Layer]:
    voxels, point = stage_voxels(network), (1,) * network.dimensions
    for s in range(network.heads):
        yield Layer(kernel=point, inputs=widths[s], outputs=network.classes, voxels=voxels[s], extra=_BIAS)


_LAYERS: dict[str, Callable[[Network], Iterator[Layer]]] = {
    "unet": _unet,
    "resenc_unet": _resenc_unet,
    "attention_unet": _attention_unet,
    "vnet": _vnet,
}

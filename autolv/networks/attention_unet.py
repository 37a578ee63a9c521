"""The U-Net with additive attention gates on its skips (Oktay 2018, Schlemper 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from autolv.networks import NETWORKS
from autolv.networks._blocks import LEAKY_SLOPE, InstanceNorm, Ints, initialise, patchwise, pointwise
from autolv.networks._plain_stages import decoder_stages, encoder_stages, isotropic, up_stages
from autolv.networks._ushape import UShape
from autolv.schema.plan import Network

_LINEAR = {2: "bilinear", 3: "trilinear"}


class AttentionGate(nn.Module):
    """Weigh each voxel of a skip by a number in (0, 1) that the skip and the next coarser features decide together.

    The skip is brought to the coarser grid by a convolution with kernel = ``stride``, the gating signal to as many
    channels (half the skip's) by a pointwise one; the sum, rectified, gives one logit per coarse voxel, whose sigmoid
    is interpolated linearly to the skip's grid. A pointwise convolution and a normalisation follow the product.
    """

    def __init__(self, skip_channels: int, gating_channels: int, stride: Ints) -> None:
        super().__init__()
        dimensions = len(stride)
        hidden = max(1, skip_channels // 2)
        self.theta = patchwise(skip_channels, hidden, stride, bias=False)
        self.phi = pointwise(gating_channels, hidden, dimensions)
        self.psi = pointwise(hidden, 1, dimensions)
        self.project = pointwise(skip_channels, skip_channels, dimensions, bias=False)
        self.norm = InstanceNorm(skip_channels)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Return the weighed skip (n, c, *size) for a gating signal (n, g, *size / stride)."""
        weighed: Tensor = self.norm(self.project(skip * self.attention(skip, gating)))
        return weighed

    def attention(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Return the weights (n, 1, *size)."""
        query, key = self.theta(skip), self.phi(gating)
        logits = self.psi(functional.relu(query + _resized(key, query.shape[2:])))
        return _resized(torch.sigmoid(logits), skip.shape[2:])


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    """Return ``x`` (n, c, *any size) linearly interpolated to ``size`` about half-pixel centres."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=list(size), mode=_LINEAR[len(size)], align_corners=False)


@NETWORKS.register("attention_unet")
def build_attention_unet(network: Network) -> UShape:
    """Return the plain U-Net of a plan's network block with an attention gate on each of its skips.

    Each gate's signal is the coarser feature map that enters its decoder stage, before upsampling.
    """
    features, strides = network.features, network.strides
    module = UShape(
        network,
        encoder=encoder_stages(network),
        ups=up_stages(network),
        decoder=decoder_stages(network),
        widths=features[:-1],
        gates=[AttentionGate(features[s], features[s + 1], strides[s + 1]) for s in range(network.stages - 1)],
    )
    module.apply(initialise(LEAKY_SLOPE))
    return module


def attention_maps(module: UShape, x: Tensor) -> tuple[Tensor, ...]:
    """Return how much of its skip each gate lets through for images ``x``: (n, 1, *size of the skip), finest first.

    Raises ``ValueError`` for a network without gates.
    """
    if not len(module.gates):
        raise ValueError("the network has no attention gates")
    skips = module.encode(x)
    gatings = [*module.decode(skips)[1:], skips[-1]]  # what enters decoder stage s comes from the stage below it
    return tuple(
        gate.attention(skip, gating)
        for gate, skip, gating in zip(module.gates, skips[:-1], gatings, strict=True)
        if isinstance(gate, AttentionGate)
    )


def paper_form() -> Network:
    """Return the network of Oktay 2018: a 3D U-Net of 5 stages with 16 to 256 channels, on patches of 96³ voxels.

    Departures, and what they make of the 5.88 million parameters of their U-Net (without gates): upsampling is learnt
    and halves the channels (theirs is linear and keeps them), 348 400 parameters more and 587 520 fewer in the
    convolutions that follow; the finest skip has a gate like the others (theirs has none), 1585 of the gates' 131 284;
    heads are separate (theirs are joined into one), 976; and the departures of the U-Net here from Çiçek 2016.
    """
    return isotropic("attention_unet", dimensions=3, patch=96, classes=4, features=(16, 32, 64, 128, 256), heads=4)

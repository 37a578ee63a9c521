"""Stages of plain convolutions, of which the U-Net and the Attention U-Net are made."""

from __future__ import annotations

from torch import nn

from autolv.networks._blocks import conv_stack, upsampling
from autolv.schema.plan import Network


def encoder_stages(network: Network) -> list[nn.Module]:
    """Return the stages: ``blocks[s]`` x (convolution, normalisation, leaky ReLU), the first one strided."""
    inputs = (network.in_channels, *network.features[:-1])
    return [
        conv_stack(inputs[s], network.features[s], network.kernels[s], network.blocks[s], network.strides[s])
        for s in range(network.stages)
    ]


def up_stages(network: Network) -> list[nn.Module]:
    """Return, per decoder stage, the transposed convolution that leads to it from the coarser one."""
    features, strides = network.features, network.strides
    return [upsampling(features[s + 1], features[s], strides[s + 1]) for s in range(network.stages - 1)]


def decoder_stages(network: Network) -> list[nn.Module]:
    """Return, per decoder stage, its convolutions on the upsampled features joined with the skip."""
    features = network.features
    return [
        conv_stack(2 * features[s], features[s], network.kernels[s], network.decoder_blocks[s])
        for s in range(network.stages - 1)
    ]


def isotropic(
    architecture: str, *, dimensions: int, patch: int, classes: int, features: tuple[int, ...], heads: int
) -> Network:
    """Return a block of two convolutions of 3 voxels per stage and strides of 2, alike along all axes."""
    stages = len(features)
    return Network(
        architecture=architecture,
        patch=(patch,) * dimensions,
        in_channels=1,
        classes=classes,
        features=features,
        kernels=((3,) * dimensions,) * stages,
        strides=((1,) * dimensions, *((2,) * dimensions,) * (stages - 1)),
        blocks=(2,) * stages,
        decoder_blocks=(2,) * (stages - 1),
        heads=heads,
    )

"""The U-Net (Ronneberger 2015, Çiçek 2016) in the plain form of nnU-Net (Isensee 2021)."""

from __future__ import annotations

from torch import nn

from autolv.networks import NETWORKS
from autolv.networks._blocks import LEAKY_SLOPE, conv_stack, initialise, upsampling
from autolv.networks._ushape import UShape
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


@NETWORKS.register("unet")
def build_unet(network: Network) -> UShape:
    """Return the plain U-Net of a plan's network block."""
    module = UShape(
        network,
        encoder=encoder_stages(network),
        ups=up_stages(network),
        decoder=decoder_stages(network),
        widths=network.features[:-1],
    )
    module.apply(initialise(LEAKY_SLOPE))
    return module


def paper_form_2d() -> Network:
    """Return the network of Ronneberger 2015: 5 stages of two 3 x 3 convolutions, 64 to 1024 channels, two classes.

    Departures, those of Isensee 2021: convolutions are padded (so 512 x 512 stays 512 x 512), the first convolution of a
    stage is strided in place of a max pooling before it, and instance normalisation, which makes its bias idle, follows
    each convolution. None of them changes the shape of a convolution's weights.
    """
    return isotropic("unet", dimensions=2, patch=512, classes=2, features=(64, 128, 256, 512, 1024), heads=1)


def paper_form_3d() -> Network:
    """Return nnU-Net's network for an isotropic patch of 128³ voxels (Isensee 2021): 6 stages, 32 to 320 channels.

    Against the 3D U-Net of Çiçek 2016 the channels double after, not before, each downsampling, and there are two stages
    more. Heads stand at all decoder stages but the coarsest.
    """
    return isotropic("unet", dimensions=3, patch=128, classes=4, features=(32, 64, 128, 256, 320, 320), heads=4)


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

"""The U-Net (Ronneberger 2015, Çiçek 2016) in the plain form of nnU-Net (Isensee 2021)."""

from __future__ import annotations

from autolv.networks import NETWORKS
from autolv.networks._blocks import LEAKY_SLOPE, initialise
from autolv.networks._plain_stages import decoder_stages, encoder_stages, isotropic, up_stages
from autolv.networks._ushape import UShape
from autolv.schema.plan import Network


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

    Departures, those of Isensee 2021: convolutions are padded (so 512 x 512 stays 512 x 512), the first convolution of
    a stage is strided in place of a max pooling before it, and instance normalisation, which makes its bias idle,
    follows each convolution. None of them changes the shape of a convolution's weights.
    """
    return isotropic("unet", dimensions=2, patch=512, classes=2, features=(64, 128, 256, 512, 1024), heads=1)


def paper_form_3d() -> Network:
    """Return nnU-Net's network for an isotropic patch of 128³ voxels (Isensee 2021): 6 stages, 32 to 320 channels.

    Against the 3D U-Net of Çiçek 2016 the channels double after, not before, each downsampling, and there are two
    stages more. Heads stand at all decoder stages but the coarsest.
    """
    return isotropic("unet", dimensions=3, patch=128, classes=4, features=(32, 64, 128, 256, 320, 320), heads=4)

"""The residual-encoder U-Net that nnU-Net recommends (Isensee 2024): residual blocks down, plain convolutions up."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from autolv.networks import NETWORKS
from autolv.networks._blocks import LEAKY_SLOPE, InstanceNorm, Ints, conv, conv_stack, initialise, pointwise
from autolv.networks._plain_stages import decoder_stages, up_stages
from autolv.networks._ushape import UShape
from autolv.schema.plan import Network

_POOL = {2: functional.avg_pool2d, 3: functional.avg_pool3d}


class ResidualBlock(nn.Module):
    """Two normalised convolutions, a leaky ReLU between them, rectified after their sum with the input.

    The input reaches the sum past them: averaged over blocks of ``stride`` voxels, then, where the channels change,
    through a normalised 1 x 1 convolution (the block D of ResNet, He 2019).
    """

    def __init__(self, inputs: int, outputs: int, kernel: Ints, stride: Ints) -> None:
        super().__init__()
        self.first = conv_stack(inputs, outputs, kernel, 1, stride)
        self.second = nn.Sequential(conv(outputs, outputs, kernel, bias=False), InstanceNorm(outputs))
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs:
            self.skip = nn.Sequential(pointwise(inputs, outputs, len(kernel), bias=False), InstanceNorm(outputs))
        self._stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outputs, *size / stride) for ``x`` (n, inputs, *size)."""
        past = x if max(self._stride) == 1 else _POOL[len(self._stride)](x, self._stride)
        return functional.leaky_relu(self.second(self.first(x)) + self.skip(past), LEAKY_SLOPE)


@NETWORKS.register("resenc_unet")
def build_resenc_unet(network: Network) -> UShape:
    """Return the residual-encoder U-Net of a plan's network block.

    A convolution to ``features[0]`` channels leads to the first stage; stage s has ``blocks[s]`` residual blocks, the
    first of them strided. The decoder is the plain U-Net's, of ``decoder_blocks[s]`` convolutions per stage.
    """
    module = UShape(
        network,
        encoder=[_stage(network, s) for s in range(network.stages)],
        ups=up_stages(network),
        decoder=decoder_stages(network),
        widths=network.features[:-1],
    )
    module.apply(initialise(LEAKY_SLOPE))
    return module


def _stage(network: Network, s: int) -> nn.Sequential:
    features, kernel, stride = network.features, network.kernels[s], network.strides[s]
    layers: list[nn.Module] = []
    if s == 0:
        layers.append(conv_stack(network.in_channels, features[0], kernel, 1))
    inputs = features[max(0, s - 1)]
    for block in range(network.blocks[s]):
        layers.append(
            ResidualBlock(
                features[s] if block else inputs, features[s], kernel, stride if block == 0 else (1,) * len(stride)
            )
        )
    return nn.Sequential(*layers)


def reference_form_3d() -> Network:
    """Return nnU-Net's medium network (ResEnc-M) for an isotropic patch of 128³ voxels: 6 stages, 32 to 320 channels.

    Residual blocks per stage 1, 3, 4, 6, 6, 6 down, one convolution per stage up (Isensee 2024). Against it, biases ahead
    of a normalisation, which are idle, are left out, and the normalisation ahead of a sum starts at 1, not at 0.
    """
    return Network(
        architecture="resenc_unet",
        patch=(128, 128, 128),
        in_channels=1,
        classes=4,
        features=(32, 64, 128, 256, 320, 320),
        kernels=((3, 3, 3),) * 6,
        strides=((1, 1, 1), *((2, 2, 2),) * 5),
        blocks=(1, 3, 4, 6, 6, 6),
        decoder_blocks=(1,) * 5,
        heads=4,
    )

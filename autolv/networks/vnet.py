"""The V-Net (Milletari 2016), with instance normalisation, in two and three dimensions and for anisotropic strides."""

from __future__ import annotations

from torch import Tensor, nn

from autolv.networks import NETWORKS
from autolv.networks._blocks import InstanceNorm, Ints, conv, initialise, patchwise, upsampling
from autolv.networks._ushape import UShape
from autolv.schema.plan import Network

_PRELU_SLOPE = 0.25  # at the start, per channel: He 2015


class ResidualStage(nn.Module):
    """``count`` convolutions whose sum with their input is rectified: each is normalised, PReLU stands between them.

    Where ``outputs`` exceeds ``inputs``, the input's channels are repeated in turn until there are enough (Milletari
    2016 adds the one-channel image to all channels of the first stage).
    """

    def __init__(self, inputs: int, outputs: int, kernel: Ints, count: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(count):
            if i > 0:
                layers.append(nn.PReLU(outputs, _PRELU_SLOPE))
            layers += [
                conv(inputs if i == 0 else outputs, outputs, kernel, bias=False),
                InstanceNorm(outputs),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.activation = nn.PReLU(outputs, _PRELU_SLOPE)
        self._outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outputs, *size) for ``x`` (n, inputs, *size)."""
        rectified: Tensor = self.activation(self.convolutions(x) + _repeated(x, self._outputs))
        return rectified


def _repeated(x: Tensor, channels: int) -> Tensor:
    """Return ``x`` (n, c, *size) with ``channels`` channels: its own in turn, c = 1 left to broadcasting."""
    inputs = x.shape[1]
    if inputs in (1, channels):
        return x
    times = -(-channels // inputs)
    return x.repeat(1, times, *(1,) * (x.ndim - 2))[:, :channels]


def _step(resampling: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(resampling, InstanceNorm(channels), nn.PReLU(channels, _PRELU_SLOPE))


@NETWORKS.register("vnet")
def build_vnet(network: Network) -> UShape:
    """Return the V-Net of a plan's network block.

    Encoder stage s is a convolution with kernel = stride down to it and a residual stage of ``blocks[s]`` convolutions;
    decoder stage s a transposed convolution to ``features[s]`` channels and, on these joined with the skip, a residual
    stage of ``decoder_blocks[s]`` convolutions with twice as many channels.
    """
    features, kernels, strides = network.features, network.kernels, network.strides
    encoder: list[nn.Module] = [ResidualStage(network.in_channels, features[0], kernels[0], network.blocks[0])]
    for s in range(1, network.stages):
        down = _step(patchwise(features[s - 1], features[s], strides[s], bias=False), features[s])
        encoder.append(nn.Sequential(down, ResidualStage(features[s], features[s], kernels[s], network.blocks[s])))
    widths = [2 * width for width in features[:-1]]
    below = [*widths[1:], features[-1]]  # channels that enter decoder stage s from the stage below it
    module = UShape(
        network,
        encoder=encoder,
        ups=[
            _step(upsampling(below[s], features[s], strides[s + 1], bias=False), features[s])
            for s in range(network.stages - 1)
        ],
        decoder=[
            ResidualStage(widths[s], widths[s], kernels[s], network.decoder_blocks[s])
            for s in range(network.stages - 1)
        ],
        widths=widths,
    )
    module.apply(initialise(_PRELU_SLOPE))
    return module


def paper_form() -> Network:
    """Return the network of Milletari 2016: 128 x 128 x 64 voxels, 16 to 256 channels, kernels of 5³, two classes.

    Departures: convolutions are normalised, and the one head is a single 1 x 1 x 1 convolution.
    """
    return Network(
        architecture="vnet",
        patch=(64, 128, 128),
        in_channels=1,
        classes=2,
        features=(16, 32, 64, 128, 256),
        kernels=((5, 5, 5),) * 5,
        strides=((1, 1, 1), *((2, 2, 2),) * 4),
        blocks=(1, 2, 3, 3, 3),
        decoder_blocks=(1, 2, 3, 3),
        heads=1,
    )

"""Layers that all architectures share, in two and three dimensions.

A convolution that a normalisation follows has no bias: the normalisation takes any constant of a channel away again, so
its gradient would be rounding noise, which Adam would scale up to full steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Ints = tuple[int, ...]

LEAKY_SLOPE = 0.01  # of the leaky ReLU: Isensee 2021
_EPSILON = 1e-5  # added to the variance: Isensee 2021
_CONV: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def conv(inputs: int, outputs: int, kernel: Ints, stride: Ints | None = None, *, bias: bool = True) -> nn.Module:
    """Return a convolution that keeps the size (divides it by ``stride``); the entries of ``kernel`` are odd."""
    padding = tuple(k // 2 for k in kernel)
    return _CONV[len(kernel)](inputs, outputs, kernel, stride or (1,) * len(kernel), padding, bias=bias)


def patchwise(inputs: int, outputs: int, stride: Ints, *, bias: bool = True) -> nn.Module:
    """Return a convolution with kernel = stride: each output sees one block of ``stride`` voxels."""
    return _CONV[len(stride)](inputs, outputs, stride, stride, bias=bias)


def pointwise(inputs: int, outputs: int, dimensions: int, *, bias: bool = True) -> nn.Module:
    """Return a 1 x 1 (x 1) convolution."""
    return _CONV[dimensions](inputs, outputs, 1, bias=bias)


def upsampling(inputs: int, outputs: int, stride: Ints, *, bias: bool = True) -> nn.Module:
    """Return a transposed convolution with kernel = stride, which multiplies the size by ``stride``."""
    return _UP[len(stride)](inputs, outputs, stride, stride, bias=bias)


class InstanceNorm(nn.Module):
    """Normalise each channel of each sample to mean 0 and variance 1, then scale and shift it by learnt numbers.

    The function is that of group normalisation with one group per channel, which runs up to 1.3 times faster than
    torch's instance normalisation because it does not reshape its input. A channel of a single voxel has no variance:
    it is scaled and shifted only, so that a bottleneck of one voxel still carries its input on.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (n, c, *size), normalised, in its own type."""
        if x.shape[2:].numel() == 1:
            shape = (1, -1) + (1,) * (x.ndim - 2)
            return (x * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)
        return functional.group_norm(x, x.shape[1], self.weight, self.bias, _EPSILON)


def conv_stack(inputs: int, outputs: int, kernel: Ints, count: int, stride: Ints | None = None) -> nn.Sequential:
    """Return ``count`` times convolution, normalisation, leaky ReLU; the first convolution has the ``stride``."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            conv(inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else None, bias=False),
            InstanceNorm(outputs),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        ]
    return nn.Sequential(*layers)


def initialise(slope: float) -> Callable[[nn.Module], None]:
    """Return what ``Module.apply`` needs for He's initialisation (He 2015): a leaky ReLU's ``slope``, biases 0."""

    def apply(module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, a=slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    return apply

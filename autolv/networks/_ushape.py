"""The way that all architectures share: down through the stages, up again past the skips, a head per fine stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autolv.networks._blocks import pointwise
from autolv.schema.plan import Network


class UShape(nn.Module):
    """Encoder, decoder and heads; what a stage is made of is the architecture's choice.

    ``encoder[s]`` maps stage s - 1 (the image for s = 0) to stage s. ``ups[s]`` maps stage s + 1 to the size of stage
    s; ``decoder[s]`` takes that joined with the skip of stage s. ``gates[s](skip, coarser)``, where given, weighs the
    skip first. ``widths[s]`` is the number of channels that ``decoder[s]`` returns.
    """

    def __init__(
        self,
        network: Network,
        *,
        encoder: Sequence[nn.Module],
        ups: Sequence[nn.Module],
        decoder: Sequence[nn.Module],
        widths: Sequence[int],
        gates: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.ups = nn.ModuleList(ups)
        self.decoder = nn.ModuleList(decoder)
        self.gates = nn.ModuleList(gates)
        self.heads = nn.ModuleList(
            pointwise(width, network.classes, network.dimensions) for width in widths[: network.heads]
        )
        self._in_channels = network.in_channels
        self._downsampling = network.downsampling

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of each head, finest first, for images (n, in_channels, *size)."""
        features = self.decode(self.encode(x))
        return tuple(head(feature) for head, feature in zip(self.heads, features, strict=False))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the features of each encoder stage, finest first, for images (n, in_channels, *size)."""
        self._check(x)
        features: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        return features

    def decode(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the features of each decoder stage, finest first, from those of the encoder."""
        x = features[-1]
        decoded: list[Tensor] = []
        for s in reversed(range(len(self.decoder))):
            skip = self.gates[s](features[s], x) if self.gates else features[s]
            x = self.decoder[s](torch.cat((self.ups[s](x), skip), dim=1))
            decoded.append(x)
        return decoded[::-1]

    def _check(self, x: Tensor) -> None:
        size = tuple(x.shape[2:])
        fits = len(size) == len(self._downsampling) and all(
            n > 0 and n % d == 0 for n, d in zip(size, self._downsampling, strict=True)
        )
        if not fits or x.shape[1] != self._in_channels:
            raise ValueError(
                f"images must be (n, {self._in_channels}, *size), size a multiple of {self._downsampling}, "
                f"got {tuple(x.shape)}"
            )

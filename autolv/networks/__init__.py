"""Segmentation networks by name, each built from a plan's network block."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from autolv.core.errors import PlanError
from autolv.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from autolv.schema.plan import Network

NETWORKS: Registry[Callable[[Network], nn.Module]] = Registry("network", "autolv.networks")


def build_network(network: Network) -> nn.Module:
    """Return the network that the plan's block describes, with fresh weights from torch's global generator.

    Its ``forward`` takes images (n, in_channels, *size), ``size`` a multiple of ``network.downsampling``, and returns
    a tuple of ``network.heads`` logits (n, classes, *size / downsampling so far), finest first. Raises ``PlanError``
    for a block that no network can be built from and ``RegistryError`` for an unknown architecture.
    """
    builder = NETWORKS.get(network.architecture)
    if network.stages < 2:
        raise PlanError(
            f"a {network.architecture} needs at least two stages, the plan has {network.stages}.",
            remedy="Plan again, or give each list of the network block one more entry.",
        )
    if any(s != 1 for s in network.strides[0]):
        raise PlanError(
            f"the first stage keeps the patch's resolution, the plan strides it by {network.strides[0]}.",
            remedy="Let strides begin with ones.",
        )
    even = [kernel for kernel in network.kernels if any(k % 2 == 0 for k in kernel)]
    if even:
        raise PlanError(
            f"kernel sizes must be odd, the plan has {even[0]}.", remedy="Use 1, 3, 5 or 7 along each axis."
        )
    return builder(network)

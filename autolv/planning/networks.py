"""The network block of each configuration, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass

from autolv.planning import budget, rules
from autolv.planning.cost import network_cost
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Network

ARCHITECTURES = ("unet", "attention_unet", "vnet")
_MOST_STAGES = {"cpu": 5, "mps": 5, "cuda": 6}
_FEATURE_CAP = {2: 512, 3: 320}  # Isensee 2021
_BYTES_PER_VOXEL = 5  # float32 image, uint8 labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedNetwork:
    """A network with the batch that was found together with it."""

    sizing: budget.Sizing
    work: budget.Workload
    reasons: dict[str, str]


def workload(fingerprint: Fingerprint, dimensions: int) -> budget.Workload:
    """Return what a fold trains on: slices for 2D configurations, volumes for 3D ones."""
    share = rules.training_share(fingerprint.patients)
    slices = rules.slices_after_resampling(fingerprint)
    pixels = rules.field_sides_mm(fingerprint)[1] / rules.in_plane_spacing_mm(fingerprint) ** 2
    total = sum(slices) if dimensions == 2 else len(slices)
    return budget.Workload(
        items=max(1, round(share * total)),
        slices_per_item=1 if dimensions == 2 else rules.patch_slices(fingerprint),
        data_gb=sum(slices) * pixels * _BYTES_PER_VOXEL / 1e9,
    )


def size_network(
    fingerprint: Fingerprint, compute: Compute, architecture: str, dimensions: int, *, widest: int = budget.BASES[-1]
) -> SizedNetwork:
    """Return the largest network of ``architecture`` that the compute allows, no wider than ``widest``.

    The patch shrinks only where the narrowest network with the smallest batch would not fit the memory.
    """
    work = workload(fingerprint, dimensions)
    side, spacing = rules.in_plane_side(fingerprint), rules.in_plane_spacing_mm(fingerprint)
    size: tuple[int, ...] = (side, side)
    spacings: tuple[float, ...] = (spacing, spacing)
    if dimensions == 3:
        size = (rules.patch_slices(fingerprint), *size)
        spacings = (rules.target_slice_spacing_mm(fingerprint), *spacings)
    field = _field_voxels(fingerprint, dimensions)
    stages = _MOST_STAGES[compute.device]
    wanted = rules.topology(size, spacings, most_stages=stages)
    shape = wanted
    while True:
        build = _Builder(architecture, len(fingerprint.structures) + 1, shape)
        sizing = budget.largest(build, work, compute, widest=widest)
        smaller = rules.smaller_size(shape, field) if sizing is None else None
        if sizing is not None or smaller is None:
            break
        shape = rules.topology(smaller, spacings, most_stages=stages)
    sizing = sizing or budget.narrowest(build, work, compute)
    reasons = _reasons(fingerprint, compute, sizing, work, shrunk=shape.patch != wanted.patch, widest=widest)
    return SizedNetwork(sizing=sizing, work=work, reasons=reasons)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds the network block of a width."""

    architecture: str
    classes: int
    shape: rules.Topology

    def __call__(self, base: int) -> Network:
        stages, kernels = len(self.shape.strides), self.shape.kernels
        blocks, decoder_blocks = (2,) * stages, (2,) * (stages - 1)
        if self.architecture == "vnet":
            blocks, decoder_blocks = rules.vnet_blocks(stages)
            kernels = tuple(tuple(5 if k == 3 else k for k in kernel) for kernel in kernels)
        return Network(
            architecture=self.architecture,
            patch=self.shape.patch,
            in_channels=1,
            classes=self.classes,
            features=rules.feature_widths(base, stages, cap=_FEATURE_CAP[len(self.shape.patch)]),
            kernels=kernels,
            strides=self.shape.strides,
            blocks=blocks,
            decoder_blocks=decoder_blocks,
            heads=rules.head_count(stages),
        )


def _field_voxels(fingerprint: Fingerprint, dimensions: int) -> tuple[float, ...]:
    side = rules.field_sides_mm(fingerprint)[0] / rules.in_plane_spacing_mm(fingerprint)
    slices = rules.slices_after_resampling(fingerprint)
    return (side, side) if dimensions == 2 else (sorted(slices)[len(slices) // 2], side, side)


def _reasons(
    fingerprint: Fingerprint,
    compute: Compute,
    sizing: budget.Sizing,
    work: budget.Workload,
    *,
    shrunk: bool,
    widest: int,
) -> dict[str, str]:
    network = sizing.network
    vnet = network.architecture == "vnet"
    kernels = "3 in-plane"
    if network.dimensions == 3:
        kernels = "3; 1 across slices until the in-plane spacing has come within a factor of 2 of the slice spacing"
    return {
        "network.architecture": _ARCHITECTURE_REASONS[network.architecture],
        "network.patch": _patch_reason(fingerprint, network, shrunk=shrunk),
        "network.in_channels": "one image per case",
        "network.classes": f"background and {', '.join(fingerprint.structures)}",
        "network.features": _features_reason(sizing, work, compute, widest=widest),
        "network.kernels": f"{kernels} (Isensee 2021)" + ("; 5 in place of 3 (Milletari 2016)" if vnet else ""),
        "network.strides": (
            f"each axis is halved while it keeps 4 voxels and its spacing is below twice the finest (Isensee 2021); "
            f"at most {_MOST_STAGES[compute.device]} resolutions on {compute.device}"
        ),
        "network.blocks": (
            "convolutions per residual stage as in Milletari 2016"
            if vnet
            else "two convolutions per stage (Isensee 2021)"
        ),
        "network.decoder_blocks": (
            "finest first; as in the network published with Milletari 2016"
            if vnet
            else "finest first; two convolutions per stage (Isensee 2021)"
        ),
        "network.heads": "deep supervision at each decoder stage but the coarsest, which sees too little to be worth it",
    }


_ARCHITECTURE_REASONS = {
    "unet": "plain convolutions, instance normalisation, leaky ReLU: nnU-Net's network (Isensee 2021)",
    "attention_unet": "the U-Net with additive attention gates on its skips (Oktay 2018, Schlemper 2019)",
    "vnet": "residual stages, PReLU, strided convolutions down (Milletari 2016), with instance normalisation",
}


def _patch_reason(fingerprint: Fingerprint, network: Network, *, shrunk: bool) -> str:
    side, about_heart = rules.patch_side_mm(fingerprint)
    field, area = rules.field_sides_mm(fingerprint)
    heart = rules.heart_extent_mm(fingerprint, (1, 2))
    divisor = network.downsampling
    if about_heart:
        text = (
            f"in-plane a square of {side:.0f} mm: the largest heart ({heart:.0f} mm) times {rules.HEART_MARGIN} for its "
            f"surroundings and rotation, {side**2 / area:.0%} of the median field of view"
        )
    elif side > 0 and heart == heart:
        text = (
            f"in-plane the whole field, a square of its longer median side ({field:.0f} mm): a patch about the heart "
            f"would cover more than {rules.WORTH_CROPPING:.0%} of it"
        )
    else:
        text = f"in-plane the whole field, a square of its longer median side ({field:.0f} mm): no heart is labelled"
    if network.dimensions == 3:
        text += f"; {rules.patch_slices(fingerprint)} slices cover the median stack or the largest heart"
    text += f"; rounded up to a multiple of {' x '.join(str(d) for d in divisor)}, the downsampling"
    return text + ("; then reduced until the narrowest network fits the memory" if shrunk else "")


def _features_reason(sizing: budget.Sizing, work: budget.Workload, compute: Compute, *, widest: int) -> str:
    network = sizing.network
    base, cap = network.features[0], _FEATURE_CAP[network.dimensions]
    doubling = f"doubled per stage up to {cap} (Isensee 2021)"
    parameters = f"{network_cost(network).parameters / 1e6:.2f} M parameters"
    if not sizing.enough_memory:
        return f"the narrowest, {base}, though {compute.memory_gb:g} GB are too few for it; {doubling}; {parameters}"
    if not sizing.enough_time:
        return f"the narrowest, {base}: {budget.minutes(compute):g} min are few for any width; {doubling}; {parameters}"
    steps = budget.steps_needed(base, sizing.batch, work.slices_per_item)
    limit = f" (no wider than the U-Net's {widest})" if widest < budget.BASES[-1] else ""
    flops = budget.throughput(network, compute) / 1e9
    return (
        f"{base} is the widest of {', '.join(map(str, budget.BASES))}{limit} that fits {compute.memory_gb:g} GB and can make "
        f"{steps} steps in {budget.minutes(compute):g} min at an assumed {flops:g} GFLOP/s ({budget.SLICES_AT_16} slices "
        f"for 16 channels, growing with the square of the width); {doubling}; {parameters}"
    )

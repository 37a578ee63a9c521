"""The network block of each configuration, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autolv.planning import budget, rules
from autolv.planning.cost import network_cost
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Ints, Network

ARCHITECTURES = ("unet", "attention_unet", "vnet", "resenc_unet")
_MOST_STAGES = {"cpu": 5, "mps": 5, "cuda": 6}
_FEATURE_CAP = {2: 512, 3: 320}  # Isensee 2021
# Operations as multiples of the U-Net's: a V-Net's wide kernels, and a residual encoder's depth, pay for fewer channels.
# The residual encoder of nnU-Net's memory, ResEnc-M, trains a third longer than its U-Net (Isensee 2024).
_MOST_TIMES_UNET = {"vnet": 1.5, "resenc_unet": 1.5}
_BYTES_PER_VOXEL = 5  # float32 image, uint8 labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedNetwork:
    """A network with the batch that was found together with it."""

    sizing: budget.Sizing
    work: budget.Workload
    reasons: dict[str, str]


def workload(fingerprint: Fingerprint, dimensions: int, target: rules.Target | None = None) -> budget.Workload:
    """Return what a fold trains on: slices for 2D configurations, volumes for 3D ones, on the grid of ``target``."""
    target = target or rules.own_target(fingerprint)
    share = rules.training_share(fingerprint.patients)
    slices = rules.slices_after_resampling(fingerprint, target)
    pixels = rules.field_sides_mm(fingerprint)[1] / target.in_plane_mm**2
    total = sum(slices) if dimensions == 2 else len(slices)
    return budget.Workload(
        items=max(1, round(share * total)),
        slices_per_item=1 if dimensions == 2 else rules.measured_slices(fingerprint, target),
        data_gb=sum(slices) * pixels * _BYTES_PER_VOXEL / 1e9,
    )


def size_network(
    fingerprint: Fingerprint,
    compute: Compute,
    architecture: str,
    dimensions: int,
    *,
    unet: Network | None = None,
    target: rules.Target | None = None,
) -> SizedNetwork:
    """Return the largest network of ``architecture`` that the compute allows, held to what ``unet`` costs where given.

    It is planned for the grid of ``target``, by default the dataset's own. The patch shrinks only where not even the
    narrowest network with the smallest batch fits the memory, and only if shrinking helps.
    """
    target = target or rules.own_target(fingerprint)
    work, stages = workload(fingerprint, dimensions, target), _MOST_STAGES[compute.device]
    size, spacings = _wanted_patch(fingerprint, compute, dimensions, target)
    field = _field_voxels(fingerprint, dimensions, target)
    wanted = rules.topology(size, spacings, most_stages=stages)
    shape: rules.Topology | None = wanted
    sizing: budget.Sizing | None = None
    while shape is not None and sizing is None:
        sizing = budget.largest(_candidates(fingerprint, compute, architecture, shape, unet), work, compute)
        smaller = rules.smaller_size(shape, field)
        shape = None if smaller is None else rules.topology(smaller, spacings, most_stages=stages)
    if sizing is None:  # nothing fits: the memory is too small for any patch
        narrowest = _candidates(fingerprint, compute, architecture, wanted, unet)[0]
        sizing = budget.size(narrowest, budget.SMALLEST_BATCH, work, compute)
    reasons = _reasons(
        fingerprint, compute, sizing, work, target, shrunk=sizing.network.patch != wanted.patch, unet=unet
    )
    return SizedNetwork(sizing=sizing, work=work, reasons=reasons)


def size_at_width(
    fingerprint: Fingerprint, compute: Compute, architecture: str, dimensions: int, base: int, *, target: rules.Target
) -> budget.Sizing:
    """Return what is expected of a network of ``base`` channels on the patch that is wanted, with the smallest batch."""
    size, spacings = _wanted_patch(fingerprint, compute, dimensions, target)
    shape = rules.topology(size, spacings, most_stages=_MOST_STAGES[compute.device])
    network = _build(
        architecture, len(fingerprint.structures) + 1, shape, base, decoder=rules.decoder_convolutions(compute.device)
    )
    return budget.size(network, budget.SMALLEST_BATCH, workload(fingerprint, dimensions, target), compute)


def _wanted_patch(
    fingerprint: Fingerprint, compute: Compute, dimensions: int, target: rules.Target
) -> tuple[Ints, tuple[float, ...]]:
    """Return the patch before padding, in voxels, and the spacing that networks see."""
    side, spacing = rules.in_plane_side(fingerprint, target, rules.heart_margin(compute)), target.in_plane_mm
    if dimensions == 2:
        return (side, side), (spacing, spacing)
    slices, slice_spacing = rules.patch_slices(fingerprint, target), rules.target_slice_spacing_mm(fingerprint, target)
    return (slices, side, side), (slice_spacing, spacing, spacing)


def _candidates(
    fingerprint: Fingerprint, compute: Compute, architecture: str, shape: rules.Topology, unet: Network | None
) -> tuple[Network, ...]:
    """Return the network of each width, narrowest first, without those that cost more than the U-Net allows."""
    classes, decoder = len(fingerprint.structures) + 1, rules.decoder_convolutions(compute.device)
    networks = tuple(
        _build(architecture, classes, shape, base, decoder=decoder) for base in budget.bases(compute.device)
    )
    if unet is None:
        return networks
    if architecture in _MOST_TIMES_UNET:
        most = network_cost(unet).forward_flops * _MOST_TIMES_UNET[architecture]
        return tuple(n for n in networks if n is networks[0] or network_cost(n).forward_flops <= most)
    return tuple(n for n in networks if n.features[0] <= unet.features[0])


def _build(architecture: str, classes: int, shape: rules.Topology, base: int, *, decoder: int) -> Network:
    """Return the network block of a width, with ``decoder`` convolutions per decoder stage of plain networks."""
    stages, kernels = len(shape.strides), shape.kernels
    blocks, decoder_blocks = (2,) * stages, (decoder,) * (stages - 1)
    if architecture == "vnet":
        blocks, decoder_blocks = rules.vnet_blocks(stages)
        kernels = tuple(tuple(5 if k == 3 else k for k in kernel) for kernel in kernels)
    elif architecture == "resenc_unet":
        blocks, decoder_blocks = rules.resenc_blocks(stages)
    return Network(
        architecture=architecture,
        patch=shape.patch,
        in_channels=1,
        classes=classes,
        features=rules.feature_widths(base, stages, cap=_FEATURE_CAP[len(shape.patch)]),
        kernels=kernels,
        strides=shape.strides,
        blocks=blocks,
        decoder_blocks=decoder_blocks,
        heads=rules.head_count(stages),
    )


def resized(network: Network, spacing_mm: Sequence[float], *, base: int, stages: int, patch: Ints) -> Network:
    """Return ``network`` with ``base`` channels in its first stage, ``stages`` resolutions and another patch.

    ``patch`` is a multiple of the downsampling. What depends on these follows by the rules of planning; other
    ``stages`` than its own are at most so many, and the patch is padded for them.
    """
    if stages == network.stages:
        features = rules.feature_widths(base, stages, cap=_FEATURE_CAP[network.dimensions])
        return Network.model_validate({**dict(network), "patch": patch, "features": features})
    shape = rules.topology(patch, spacing_mm, most_stages=stages)
    built = _build(network.architecture, network.classes, shape, base, decoder=network.decoder_blocks[0])
    return built.model_copy(update={"in_channels": network.in_channels})


def _field_voxels(fingerprint: Fingerprint, dimensions: int, target: rules.Target) -> tuple[float, ...]:
    side = rules.field_sides_mm(fingerprint)[0] / target.in_plane_mm
    slices = rules.slices_after_resampling(fingerprint, target)
    return (side, side) if dimensions == 2 else (sorted(slices)[len(slices) // 2], side, side)


def _reasons(
    fingerprint: Fingerprint,
    compute: Compute,
    sizing: budget.Sizing,
    work: budget.Workload,
    target: rules.Target,
    *,
    shrunk: bool,
    unet: Network | None,
) -> dict[str, str]:
    network = sizing.network
    vnet = network.architecture == "vnet"
    plain = _PLAIN_BLOCK_REASONS[rules.decoder_convolutions(compute.device)]
    blocks, decoder_blocks = _BLOCK_REASONS.get(network.architecture, plain)
    kernels = "3 in-plane"
    if network.dimensions == 3:
        kernels = "3; 1 across slices until the in-plane spacing has come within a factor of 2 of the slice spacing"
    return {
        "network.architecture": _ARCHITECTURE_REASONS[network.architecture],
        "network.patch": _patch_reason(fingerprint, compute, network, target, shrunk=shrunk),
        "network.in_channels": "one image per case",
        "network.classes": f"background and {', '.join(fingerprint.structures)}",
        "network.features": _features_reason(sizing, work, compute, unet=unet),
        "network.kernels": f"{kernels} (Isensee 2021)" + ("; 5 in place of 3 (Milletari 2016)" if vnet else ""),
        "network.strides": (
            f"each axis is halved while it keeps 4 voxels and its spacing is below twice the finest (Isensee 2021); "
            f"at most {_MOST_STAGES[compute.device]} resolutions on {compute.device}"
        ),
        "network.blocks": blocks,
        "network.decoder_blocks": decoder_blocks,
        "network.heads": "deep supervision at each decoder stage but the coarsest (Isensee 2021 gives it no weight)",
    }


_ARCHITECTURE_REASONS = {
    "unet": "plain convolutions, instance normalisation, leaky ReLU: nnU-Net's network (Isensee 2021)",
    "attention_unet": "the U-Net with additive attention gates on its skips (Oktay 2018, Schlemper 2019)",
    "vnet": "residual stages, PReLU, strided convolutions down (Milletari 2016), with instance normalisation",
    "resenc_unet": "residual blocks down, plain convolutions up: the network that nnU-Net recommends (Isensee 2024)",
}
_PLAIN_BLOCK_REASONS = {
    2: ("two convolutions per stage (Isensee 2021)", "finest first; two convolutions per stage (Isensee 2021)"),
    1: (
        "two convolutions per stage (Isensee 2021)",
        "finest first; one convolution per stage, as in the decoders of Isensee 2024: more steps in the same time",
    ),
}
_BLOCK_REASONS = {
    "vnet": (
        "convolutions per residual stage as in Milletari 2016",
        "finest first; as in the network published with Milletari 2016",
    ),
    "resenc_unet": (
        "residual blocks, of two convolutions each, per stage (Isensee 2024)",
        "finest first; one convolution per stage (Isensee 2024)",
    ),
}


def _patch_reason(
    fingerprint: Fingerprint, compute: Compute, network: Network, target: rules.Target, *, shrunk: bool
) -> str:
    margin = rules.heart_margin(compute)
    side, about_heart = rules.patch_side_mm(fingerprint, margin)
    field, area = rules.field_sides_mm(fingerprint)
    heart = rules.heart_extent_mm(fingerprint, (1, 2))
    divisor = network.downsampling
    if about_heart:
        text = (
            f"in-plane a square of {side:.0f} mm: the largest heart ({heart:.0f} mm) times {margin} for "
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
        text += f"; {rules.patch_slices(fingerprint, target)} slices cover the median stack or the largest heart"
    text += f"; rounded up to a multiple of {' x '.join(str(d) for d in divisor)}, the downsampling"
    return text + ("; then reduced until the narrowest network fits the memory" if shrunk else "")


def _features_reason(sizing: budget.Sizing, work: budget.Workload, compute: Compute, *, unet: Network | None) -> str:
    network = sizing.network
    base, cap = network.features[0], _FEATURE_CAP[network.dimensions]
    doubling = f"doubled per stage up to {cap} (Isensee 2021)"
    parameters = f"{network_cost(network).parameters / 1e6:.2f} M parameters"
    if not sizing.enough_memory:
        return f"the narrowest, {base}, though {compute.memory_gb:g} GB are too few for it; {doubling}; {parameters}"
    if not sizing.enough_time:
        return f"the narrowest, {base}: {budget.minutes(compute):g} min are few for any width; {doubling}; {parameters}"
    steps = budget.steps_needed(base, sizing.batch, work.slices_per_item)
    flops = budget.throughput(network, compute) / 1e9
    return (
        f"{base} is the widest of {_bases_in_words(compute)}{_held_to(network, unet)} that fits "
        f"{compute.memory_gb:g} GB and can make {steps} steps in {budget.minutes(compute):g} min at an assumed "
        f"{flops:g} GFLOP/s ({budget.SLICES_AT_16} slices for 16 channels, growing with the square of the width: "
        f"Hoffmann 2022); {doubling}; {parameters}"
    )


def _bases_in_words(compute: Compute) -> str:
    text = ", ".join(map(str, budget.BASES))
    if compute.device != "cuda":
        return text
    wide = " or ".join(map(str, budget.WIDE_BASES))
    return f"{text} ({wide} where a batch of {budget.DATASET_SHARE:.0%} of the data leaves memory for them)"


def _held_to(network: Network, unet: Network | None) -> str:
    if unet is None:
        return ""
    if network.architecture in _MOST_TIMES_UNET:
        return f", at no more than {_MOST_TIMES_UNET[network.architecture]:g} times the U-Net's operations,"
    return f", no wider than the U-Net's {unet.features[0]},"

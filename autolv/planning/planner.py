"""From a fingerprint and the compute at hand to a plan: configurations, each complete, with a reason per number.

Each architecture is planned in 2D and 3D on the dataset's own spacing; beside them, where memory and time allow, stands a
3D network on voxels with equal sides.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from autolv.core.errors import PlanError
from autolv.planning import budget, rules
from autolv.planning.isotropic import NAME as ISOTROPIC
from autolv.planning.isotropic import preprocess_isotropic, size_isotropic
from autolv.planning.networks import ARCHITECTURES, SizedNetwork, size_network
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Configuration, Network, Plan, Preprocessing, Training

_log = logging.getLogger(__name__)
_THICK = 5.0  # times the in-plane spacing: beyond it 2D is recommended on any device
_GPU_FOR_3D_GB = 8.0
_LEARNING_RATE = 2e-3
_HIGHEST_RATE = 5e-3
_RATE_WIDTH = 16  # channels of the first stage up to which that rate is used
_LONGEST_EPOCH = 250  # iterations: Isensee 2021
_SHORTEST_EPOCH = 10

_AUGMENTATION_REASONS = {
    "vendor-robust": "what other scanners, centres and orientations may show (Full 2021), seldom enough that images like those "
    "of the set lose little (docs/decisions/0027, 0028)",
    "default": "nnU-Net's transforms and ranges, in-plane (Isensee 2021); slices resampled along z do not shift one by one",
}


def make_plan(fingerprint: Fingerprint, compute: Compute) -> Plan:
    """Return the plan for a dataset on the given compute; the same input gives the same plan.

    Raises ``PlanError`` where the compute has no memory, core or time.
    """
    if compute.memory_gb <= 0 or compute.cores < 1 or budget.minutes(compute) <= 0:
        raise PlanError(
            f"a plan needs memory, a core and time, got {compute.memory_gb:g} GB, {compute.cores} cores and "
            f"{budget.minutes(compute):g} minutes.",
            remedy="Give positive numbers for --memory-gb and --time-budget.",
        )
    preprocessing, reasons = plan_preprocessing(fingerprint)
    configurations = {}
    for dimensions in (2, 3):
        unet: Network | None = None  # the first architecture, to whose compute the others are held
        for architecture in ARCHITECTURES:
            sized = size_network(fingerprint, compute, architecture, dimensions, unet=unet)
            unet = unet or sized.sizing.network
            name = f"{dimensions}d_{architecture}"
            configurations[name] = _configuration(name, preprocessing, reasons, sized, compute)
    not_proposed = {}
    rival = size_isotropic(fingerprint, compute)
    if isinstance(rival, str):
        not_proposed[ISOTROPIC] = rival
        _log.info("%s is not proposed: %s", ISOTROPIC, rival)
    else:
        block, block_reasons = preprocess_isotropic(preprocessing, reasons, rival.work)
        configurations[ISOTROPIC] = _configuration(ISOTROPIC, block, block_reasons, rival, compute)
    _warn_of_memory(configurations, compute)
    recommended, why = recommend(fingerprint, compute)
    return Plan(
        dataset=fingerprint.dataset,
        fingerprint_hash=fingerprint.content_hash(),
        labels=dict(fingerprint.labels),
        structures=fingerprint.structures,
        compute=compute,
        configurations=configurations,
        not_proposed=not_proposed,
        recommended=recommended,
        recommended_reason=why,
    )


def _configuration(
    name: str, preprocessing: Preprocessing, reasons: Mapping[str, str], sized: SizedNetwork, compute: Compute
) -> Configuration:
    # slices that are resampled along z no longer shift one by one, as the robust preset has them shift
    preset = "vendor-robust" if preprocessing.slice_spacing_mm is None else "default"
    training, training_reasons = plan_training(sized, compute, preset)
    return Configuration(
        name=name,
        preprocessing=preprocessing,
        network=sized.sizing.network,
        training=training,
        reasons={**reasons, **sized.reasons, **training_reasons},
    )


def _warn_of_memory(configurations: Mapping[str, Configuration], compute: Compute) -> None:
    over = [name for name, c in configurations.items() if c.training.expected_memory_gb > compute.memory_gb]
    if over:
        _log.warning(
            "%s: expected to need more than the %g GB given, even with the narrowest network.",
            ", ".join(over), compute.memory_gb,
        )  # fmt: skip


def plan_preprocessing(fingerprint: Fingerprint) -> tuple[Preprocessing, dict[str, str]]:
    """Return the preprocessing block of the dataset's own spacing, one for 2D and 3D with one cache, and its reasons."""
    spacing, ratio = rules.in_plane_spacing_mm(fingerprint), rules.anisotropy(fingerprint)
    slices = rules.slice_spacing_mm(fingerprint)
    y, x = (fingerprint.spacing_mm[axis].median for axis in (1, 2))
    thick = f"slices are {ratio:.1f} times as far apart as pixels"
    block = Preprocessing(
        in_plane_spacing_mm=(spacing, spacing),
        slice_spacing_mm=slices,
        normalisation="central_zscore",
        image_order=3,
        label_order=1,
        crop_to_nonzero=True,
    )
    return block, {
        "preprocessing.in_plane_spacing_mm": (
            f"geometric mean of the median spacings along y ({y:.4g} mm) and x ({x:.4g} mm): square pixels "
            "(Isensee 2021 takes the medians)"
        ),
        "preprocessing.slice_spacing_mm": (
            f"{thick} (more than {rules.ANISOTROPIC:g}): each stack keeps its own, since slices interpolated between "
            "thick ones cost time and add no information"
            if slices is None
            else f"{thick} (no more than {rules.ANISOTROPIC:g}): the median (Isensee 2021)"
        ),
        "preprocessing.normalisation": (
            "MR has no units: each image's own mean and standard deviation (Isensee 2021), of the 160 mm about the field's "
            "centre, so that a wider field with more air looks the same"
        ),
        "preprocessing.image_order": "cubic splines (Isensee 2021)",
        "preprocessing.label_order": "linear per structure, then the largest: smoother than nearest (Isensee 2021)",
        "preprocessing.crop_to_nonzero": "margins without signal cost time and carry nothing (Isensee 2021)",
    }


def plan_training(
    sized: SizedNetwork, compute: Compute, augmentation: str = "vendor-robust"
) -> tuple[Training, dict[str, str]]:
    """Return the training block for a network, its batch and a preset of augmentation, and its reasons."""
    sizing, network = sized.sizing, sized.sizing.network
    items = "slices" if network.dimensions == 2 else "volumes"
    iterations = min(max(math.ceil(sized.work.items / sizing.batch), _SHORTEST_EPOCH), _LONGEST_EPOCH)
    affordable = budget.minutes(compute) * 60 / sizing.seconds_per_step
    steps = affordable if compute.time_budget_minutes is not None else min(affordable, budget.DEFAULT_STEPS)
    epochs = max(1, int(steps / iterations))
    rate = min(_HIGHEST_RATE, _LEARNING_RATE * _RATE_WIDTH / network.features[0])
    training = Training(
        batch_size=sizing.batch,
        loss="dice_ce",
        deep_supervision_weights=rules.deep_supervision_weights(network.heads),
        optimiser="adamw",
        learning_rate=float(f"{rate:.2g}"),
        weight_decay=0.01,
        momentum=0.9,
        warmup_fraction=0.03,
        schedule="cosine",
        gradient_clip=12.0,
        augmentation=augmentation,
        mirror=True,
        heart_fraction=0.67,
        epochs=epochs,
        iterations_per_epoch=iterations,
        expected_memory_gb=round(sizing.memory_gb, 2),
        expected_minutes=round(epochs * iterations * sizing.seconds_per_step / 60, 1),
    )
    return training, {
        "training.batch_size": _batch_reason(sizing, sized.work, compute, items),
        "training.loss": "soft Dice + cross-entropy (Isensee 2021)",
        "training.deep_supervision_weights": "halved with each coarser head, sum 1 (Isensee 2021)",
        "training.optimiser": "AdamW needs fewer steps than SGD, which short budgets want (Loshchilov 2019)",
        "training.learning_rate": (
            f"{_LEARNING_RATE:g} for {_RATE_WIDTH} channels in the first stage, in inverse proportion to the width "
            f"(Yang 2022), at most {_HIGHEST_RATE:g}"
        ),
        "training.weight_decay": "AdamW's usual value (Loshchilov 2019)",
        "training.momentum": "of the first moment (Kingma 2015)",
        "training.warmup_fraction": "Adam's second moment is unreliable in its first steps (Liu 2020)",
        "training.schedule": "cosine to zero at the end of the budget (Loshchilov 2017)",
        "training.gradient_clip": "norm 12 (Isensee 2021)",
        "training.augmentation": _AUGMENTATION_REASONS[augmentation],
        "training.mirror": "each in-plane axis, as often as the augmentation says; never across slices, base and apex differ",
        "training.heart_fraction": "two thirds of the patches about the heart, the others anywhere in the field",
        "training.epochs": _epochs_reason(compute, sizing.seconds_per_step, affordable),
        "training.iterations_per_epoch": (
            f"one pass over the {sized.work.items} training {items} of a fold, "
            f"between {_SHORTEST_EPOCH} and {_LONGEST_EPOCH}"
        ),
        "training.weight_average": "the last weights are kept, as the rate has fallen to zero by then",
        "training.expected_memory_gb": (
            f"activations of {sizing.batch} samples, parameters with optimiser state, PyTorch itself"
            + ("" if compute.device == "cuda" else f", {sized.work.data_gb:.2f} GB of data")
        ),
        "training.expected_minutes": (
            f"{sizing.seconds_per_step:.2g} s per iteration at an assumed "
            f"{budget.throughput(network, compute) / 1e9:g} GFLOP/s; training measures its own and keeps to the budget"
        ),
    }


def recommend(fingerprint: Fingerprint, compute: Compute) -> tuple[str, str]:
    """Return the configuration to begin with, and why."""
    ratio = rules.anisotropy(fingerprint)
    apart = f"slices are {ratio:.1f} times as far apart as pixels"
    if ratio > _THICK:
        return "2d_unet", (
            f"{apart}, and beyond {_THICK:g} times neighbours share little: 2D was level with or ahead of 3D on "
            "cardiac cine sets, at a fraction of the cost (Isensee 2017, Gunawardhana 2024)"
        )
    if compute.device != "cuda":
        return (
            "2d_unet",
            f"on {compute.device} it learns most per minute; try 3d_unet too where time allows, as {apart}",
        )
    if compute.memory_gb < _GPU_FOR_3D_GB:
        return "2d_unet", f"a 3D network of useful width needs {_GPU_FOR_3D_GB:g} GB, there are {compute.memory_gb:g}"
    return "3d_unet", f"{apart}: neighbours inform each other, and the GPU has the memory"


def _batch_reason(sizing: budget.Sizing, work: budget.Workload, compute: Compute, items: str) -> str:
    reference = budget.REFERENCE_BATCH[sizing.network.dimensions]
    if sizing.batch > max(reference, budget.cited_batch(work)):
        cited = budget.size(sizing.network, budget.cited_batch(work), work, compute)
        return (
            f"as large as {compute.memory_gb:g} GB and the time allow, at most {budget.LARGEST_SHARE:.0%} of the "
            f"{work.items} training {items}: Isensee 2021 stops at {budget.DATASET_SHARE:.0%} ({cited.batch}), which "
            f"would leave {compute.memory_gb - cited.memory_gb:.1f} GB unused; the later plans of Isensee 2024 have no "
            "such limit"
        )
    if sizing.batch > reference:
        return (
            f"as large as {compute.memory_gb:g} GB and the time allow, at most {budget.DATASET_SHARE:.0%} of the "
            f"{work.items} training {items} (Isensee 2021)"
        )
    if sizing.batch == reference:
        return (
            f"{reference} for {sizing.network.dimensions}D (Isensee 2021); a larger one means fewer steps in the time"
        )
    if sizing.batch == reference // 2 and sizing.enough_memory and work.items >= reference:
        return f"half of {reference}: the time allows fewer than {budget.SHORT_RUN_STEPS} steps of that many"
    if work.items < reference:
        return f"a fold has only {work.items} training {items}; at least {budget.SMALLEST_BATCH} (Isensee 2021)"
    return f"reduced from {reference} so that training fits {compute.memory_gb:g} GB"


def _epochs_reason(compute: Compute, seconds: float, affordable: float) -> str:
    budget_minutes = budget.minutes(compute)
    if compute.time_budget_minutes is not None:
        return f"what {budget_minutes:g} min per fold allow at {seconds:.2g} s per iteration"
    if affordable > budget.DEFAULT_STEPS:
        return f"{budget.DEFAULT_STEPS} iterations in all, no time budget being given"
    return f"what {budget_minutes:g} min allow at {seconds:.2g} s per iteration (assumed: no time budget was given)"

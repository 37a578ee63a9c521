"""How wide a network and how large a batch the compute allows: models of memory and time, and the search with them.

The throughputs are assumptions, written down so that a plan can be made before anything has run. Training times a few
real steps when it begins and sets the length of its schedule by those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autolv.planning.cost import network_cost
from autolv.schema.plan import Compute, Network

BASES = (4, 6, 8, 12, 16, 24, 32, 48, 64)  # candidates for the channels of the first stage
WIDE_BASES = (96, 128)  # on CUDA besides, where memory is left at a batch of 5 % of the data
REFERENCE_BATCH = {2: 12, 3: 2}  # Isensee 2021
SMALLEST_BATCH = 2  # Isensee 2021
DATASET_SHARE = 0.05  # of the training slices or volumes, to which a batch grows ahead of the width: Isensee 2021
LARGEST_SHARE = 0.1  # for memory that width does not use; the later plans of Isensee 2024 have no limit at all
SLICES_AT_16 = 12_000  # slices to train on for a first stage of 16 channels: eight passes over four fifths of ACDC
FEWEST_STEPS = 250
BRIEF_BATCH = {
    2: 32,
    3: 4,
}  # on CUDA in a short time: 41 s of an H100 per fold were enough for ACDC (docs/benchmarks.md)
SHORT_RUN_STEPS = 1000  # below this many, half the batch and twice the steps learn more (measured on phantoms)
DEFAULT_STEPS = 25_000  # without a time budget, where the device is fast enough
CPU_FLOPS_PER_CORE = 60e9  # float32 training; between 45e9 and 100e9 on two server processors
MOST_CORES = 16  # networks of this size do not use more
DEVICE_FLOPS = {"cuda": 20e12, "mps": 2e12}
DEFAULT_MINUTES = {"cpu": 60.0, "mps": 120.0, "cuda": 600.0}
_WIDE_KERNEL_3D = 0.4  # of the CPU's throughput is left for 5 x 5 x 5 kernels (measured)
_BACKWARD = 3  # forward and backward together cost three times the forward pass
_BYTES_PER_ACTIVATION = {"vnet": 28.0}  # measured, per number of a convolution's output: PReLU keeps its input
_BYTES_PER_ACTIVATION_PLAIN = 18.0
_BYTES_PER_PARAMETER = 20.0  # weight, gradient, two moments of Adam, a copy when saving; 4 bytes each
_FIXED_GB = {"cpu": 0.6, "mps": 0.6, "cuda": 1.0}  # interpreter, PyTorch, device context


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one fold trains on: ``items`` slices (2D) or volumes (3D) of ``slices_per_item``, ``data_gb`` in memory."""

    items: int
    slices_per_item: int
    data_gb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """A network that fits the compute, its batch, and what the models expect of them."""

    network: Network
    batch: int
    memory_gb: float
    seconds_per_step: float
    enough_memory: bool
    enough_time: bool


def bases(device: str) -> tuple[int, ...]:
    """Return the candidates for the channels of the first stage, narrowest first."""
    return BASES + WIDE_BASES if device == "cuda" else BASES


def cited_batch(work: Workload) -> int:
    """Return the samples that are 5 % of the data, at least two: Isensee 2021 goes no further."""
    return max(SMALLEST_BATCH, int(work.items * DATASET_SHARE))


def minutes(compute: Compute) -> float:
    """Return the time budget per fold, or what is assumed where none is given."""
    return DEFAULT_MINUTES[compute.device] if compute.time_budget_minutes is None else compute.time_budget_minutes


def throughput(network: Network, compute: Compute) -> float:
    """Return the assumed floating-point operations per second of training."""
    if compute.device != "cpu":
        return DEVICE_FLOPS[compute.device]
    wide = any(math.prod(kernel) > 27 for kernel in network.kernels)
    return CPU_FLOPS_PER_CORE * min(compute.cores, MOST_CORES) * (_WIDE_KERNEL_3D if wide else 1.0)


def step_flops(network: Network, batch: int) -> int:
    """Return the floating-point operations of the convolutions in one training step."""
    return _BACKWARD * network_cost(network).forward_flops * batch


def seconds_per_step(network: Network, batch: int, compute: Compute) -> float:
    """Return the expected time of one training step."""
    return step_flops(network, batch) / throughput(network, compute)


def training_memory_gb(network: Network, batch: int, compute: Compute, data_gb: float) -> float:
    """Return the expected peak of memory in training; the data count where the device shares the machine's memory."""
    cost = network_cost(network)
    per_activation = _BYTES_PER_ACTIVATION.get(network.architecture, _BYTES_PER_ACTIVATION_PLAIN)
    numbers = cost.activations * batch * per_activation + cost.parameters * _BYTES_PER_PARAMETER
    return numbers / 1e9 + _FIXED_GB[compute.device] + (0.0 if compute.device == "cuda" else data_gb)


def steps_needed(base: int, batch: int, slices_per_item: int) -> int:
    """Return the training steps without which a network of ``base`` channels is not worth its width.

    Samples grow in proportion to parameters, thus with the square of the width (as Hoffmann 2022 found for language
    models).
    """
    return max(FEWEST_STEPS, math.ceil(SLICES_AT_16 * (base / 16) ** 2 / (batch * slices_per_item)))


def largest(candidates: Sequence[Network], work: Workload, compute: Compute) -> Sizing | None:
    """Return the widest of ``candidates`` (narrowest first) that the compute allows, ``None`` if none fits.

    The batch is the reference batch, or less where memory demands it; on CUDA both then grow with the memory left
    (``_grown``). Too little time makes the network narrow first; a run of very few steps also halves a 2D batch.
    """
    usual = [network for network in candidates if network.features[0] <= BASES[-1]]
    batch = max(SMALLEST_BATCH, min(REFERENCE_BATCH[candidates[0].dimensions], work.items))
    fitting: list[Sizing] = []
    while not fitting:
        sizings = (size(network, batch, work, compute) for network in usual)
        fitting = [sizing for sizing in sizings if sizing.enough_memory]
        if not fitting and batch == SMALLEST_BATCH:
            return None
        batch = max(SMALLEST_BATCH, batch // 2)
    in_time = [sizing for sizing in fitting if sizing.enough_time]
    if in_time and compute.device == "cuda":
        return _grown(in_time[-1], candidates[len(usual) :], work, compute)
    return _with_more_steps(in_time[-1] if in_time else fitting[0], work, compute)


def _with_more_steps(sizing: Sizing, work: Workload, compute: Compute) -> Sizing:
    """Return the sizing with half its batch where that is a full 2D batch and the time allows very few steps."""
    few = minutes(compute) * 60 < SHORT_RUN_STEPS * sizing.seconds_per_step
    if not few or sizing.batch < REFERENCE_BATCH[2]:
        return sizing
    return size(sizing.network, sizing.batch // 2, work, compute)


def size(network: Network, batch: int, work: Workload, compute: Compute) -> Sizing:
    """Return what the models expect of a network trained with a batch."""
    memory = training_memory_gb(network, batch, compute, work.data_gb)
    seconds = seconds_per_step(network, batch, compute)
    needed = steps_needed(network.features[0], batch, work.slices_per_item)
    return Sizing(
        network=network,
        batch=batch,
        memory_gb=memory,
        seconds_per_step=seconds,
        enough_memory=memory <= compute.memory_gb,
        enough_time=needed * seconds <= minutes(compute) * 60,
    )


def _grown(sizing: Sizing, wide: Sequence[Network], work: Workload, compute: Compute) -> Sizing:
    """Return the sizing that uses the memory left: first by its batch, to 5 % of the data, then by width, then batch.

    A network too wide to be worth it within the steps of a run without a time budget is not taken. Where a budget is too
    short for as many steps, more of them are worth more than large batches.
    """
    brief = size(sizing.network, min(BRIEF_BATCH[sizing.network.dimensions], work.items), work, compute)
    few = minutes(compute) * 60 < DEFAULT_STEPS * brief.seconds_per_step
    if compute.time_budget_minutes is not None and few:
        return _with_larger_batch(sizing, brief.batch, work, compute)
    sizing = _with_larger_batch(sizing, cited_batch(work), work, compute)
    if sizing.batch < cited_batch(work):
        return sizing
    for network in reversed(wide):
        wider = size(network, sizing.batch, work, compute)
        steps = steps_needed(network.features[0], sizing.batch, work.slices_per_item)
        enough_steps = steps <= DEFAULT_STEPS or compute.time_budget_minutes is not None
        if wider.enough_memory and wider.enough_time and enough_steps:
            sizing = wider
            break
    return _with_larger_batch(sizing, int(work.items * LARGEST_SHARE), work, compute)


def _with_larger_batch(sizing: Sizing, most: int, work: Workload, compute: Compute) -> Sizing:
    """Return the sizing with the largest batch up to ``most`` that memory and time allow, at least its own."""
    for batch in range(most, sizing.batch, -1):
        larger = size(sizing.network, batch, work, compute)
        if larger.enough_memory and larger.enough_time:
            return larger
    return sizing

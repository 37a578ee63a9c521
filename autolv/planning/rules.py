"""The rules of planning, one pure function each. Sizes are (z, y, x) or (y, x), in voxels where not said otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autolv.planning.fingerprint import whole_hearts
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Ints

ANISOTROPIC = 3.0  # slices thicker than this many in-plane voxels are not interpolated: Isensee 2021
HEART_MARGIN = 1.35  # a rotated heart's box is up to 1.41 times as wide, but hearts are rounder than their boxes
TIGHT_MARGIN = 1.15  # smaller patches allow more steps: better than the above in equal minutes (docs/benchmarks.md)
WORTH_CROPPING = 0.7  # of the field's area; a larger heart patch saves too little to bother
SMALLEST_SIDE = 32  # voxels in-plane: four resolutions
_OUTLIER = 1.25  # times the 95th percentile: a larger heart is taken for a stray label
_SMALLEST_EDGE = 4  # voxels of the coarsest feature map: Isensee 2021
_SIMILAR = 2.0  # spacings within this factor are pooled, and convolved, together: Isensee 2021


@dataclass(frozen=True, slots=True)
class Target:
    """The spacing of the grid that networks see, in mm: of pixels, and of slices (``None``: own of each stack)."""

    in_plane_mm: float
    slice_mm: float | None


@dataclass(frozen=True, slots=True)
class Topology:
    """A patch, padded so that each downsampling divides it, with strides and kernels per stage."""

    patch: Ints
    strides: tuple[Ints, ...]
    kernels: tuple[Ints, ...]

    @property
    def divisor(self) -> Ints:
        """The product of the strides, per axis."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))


def in_plane_spacing_mm(fingerprint: Fingerprint) -> float:
    """Return the geometric mean of the median spacings along y and x, to 0.1 µm: square pixels for both directions."""
    return round(math.sqrt(fingerprint.spacing_mm[1].median * fingerprint.spacing_mm[2].median), 4)


def anisotropy(fingerprint: Fingerprint) -> float:
    """Return the median slice spacing as a multiple of the in-plane spacing."""
    return fingerprint.spacing_mm[0].median / in_plane_spacing_mm(fingerprint)


def slice_spacing_mm(fingerprint: Fingerprint) -> float | None:
    """Return the median slice spacing of nearly isotropic data, ``None`` (stacks keep their own) for thick slices."""
    if anisotropy(fingerprint) > ANISOTROPIC:
        return None
    return round(fingerprint.spacing_mm[0].median, 4)


def own_target(fingerprint: Fingerprint) -> Target:
    """Return the dataset's own spacing, for which all configurations are planned but a rival geometry."""
    return Target(in_plane_mm=in_plane_spacing_mm(fingerprint), slice_mm=slice_spacing_mm(fingerprint))


def heart_extent_mm(fingerprint: Fingerprint, axes: Sequence[int]) -> float:
    """Return the largest heart's extent along ``axes`` (the longest of them), NaN where nothing is labelled.

    A heart beyond 1.25 times the 95th percentile does not count: one stray label must not widen all patches. Neither do
    hearts of which a part was not annotated, unless there are no others.
    """
    hearts = whole_hearts(fingerprint.cases, fingerprint.structures)
    extents = np.array([max(case.heart_extent_mm[a] for a in axes) for case in hearts], dtype=np.float64)
    extents = extents[np.isfinite(extents)]
    if extents.size == 0:
        return math.nan
    return float(min(extents.max(), _OUTLIER * np.percentile(extents, 95)))


def field_sides_mm(fingerprint: Fingerprint) -> tuple[float, float]:
    """Return the medians of the fields of view: of the longer in-plane side (mm), and of the area (mm²)."""
    sides = [(c.shape[1] * c.spacing_mm[1], c.shape[2] * c.spacing_mm[2]) for c in fingerprint.cases]
    return float(np.median([max(pair) for pair in sides])), float(np.median([y * x for y, x in sides]))


def heart_margin(compute: Compute) -> float:
    """Return how many times as wide as the largest heart a patch is in-plane: tight where steps are slow or time is short."""
    return HEART_MARGIN if compute.device == "cuda" and compute.time_budget_minutes is None else TIGHT_MARGIN


def decoder_convolutions(device: str) -> int:
    """Return the convolutions per decoder stage of plain networks: two, but one where steps are slow.

    Two are Isensee 2021's. The decoder, whose inputs are joined with the skips, then takes two thirds of the operations;
    one, as in the decoders of Isensee 2024, is better in equal minutes (docs/benchmarks.md).
    """
    return 2 if device == "cuda" else 1


def patch_side_mm(fingerprint: Fingerprint, margin: float = HEART_MARGIN) -> tuple[float, bool]:
    """Return the side of the square in-plane patch in mm, and whether it is heart-sized (else it is the whole field).

    ``margin`` is how many times as wide as the largest heart it is.

    Square, because the median shape's portrait or landscape is of no use to a stack that lies the other way.
    """
    heart = heart_extent_mm(fingerprint, (1, 2)) * margin
    field, area = field_sides_mm(fingerprint)
    if math.isnan(heart) or heart**2 > WORTH_CROPPING * area:
        return field, False
    return heart, True


def in_plane_side(fingerprint: Fingerprint, target: Target | None = None, margin: float = HEART_MARGIN) -> int:
    """Return the in-plane side of the patch in voxels of ``target`` (the dataset's own), before it is padded."""
    target = target or own_target(fingerprint)
    return max(SMALLEST_SIDE, _ceil(patch_side_mm(fingerprint, margin)[0] / target.in_plane_mm))


def target_slice_spacing_mm(fingerprint: Fingerprint, target: Target | None = None) -> float:
    """Return the slice spacing that a 3D network meets: that of ``target``, or where it has none the median."""
    slice_mm = (target or own_target(fingerprint)).slice_mm
    return fingerprint.spacing_mm[0].median if slice_mm is None else slice_mm


def slices_after_resampling(fingerprint: Fingerprint, target: Target | None = None) -> Ints:
    """Return each case's number of slices on the grid that networks see."""
    slice_mm = (target or own_target(fingerprint)).slice_mm
    if slice_mm is None:
        return tuple(case.shape[0] for case in fingerprint.cases)
    return tuple(max(1, round(case.shape[0] * case.spacing_mm[0] / slice_mm)) for case in fingerprint.cases)


def patch_slices(fingerprint: Fingerprint, target: Target | None = None) -> int:
    """Return the slices of a 3D patch before padding: the median stack, or the largest heart and its margin if less."""
    stack = _ceil(float(np.median(slices_after_resampling(fingerprint, target))))
    heart = heart_extent_mm(fingerprint, (0,)) * HEART_MARGIN / target_slice_spacing_mm(fingerprint, target)
    return stack if math.isnan(heart) else min(stack, _ceil(heart))


def measured_slices(fingerprint: Fingerprint, target: Target | None = None) -> int:
    """Return how many slices of the median spacing a 3D patch holds: those put between measured ones teach nothing."""
    extent_mm = patch_slices(fingerprint, target) * target_slice_spacing_mm(fingerprint, target)
    return max(1, round(extent_mm / fingerprint.spacing_mm[0].median))


def topology(size: Ints, spacing_mm: Sequence[float], *, most_stages: int) -> Topology:
    """Return strides, kernels and the padded patch by the rules of Isensee 2021 (supplement).

    An axis is halved while it has at least 8 voxels (12 if it is the only one left) and its spacing is below twice the
    finest one; its kernel is 1 until its spacing has come within that factor of the finest, then 3. There are at most
    ``most_stages`` resolutions. One departure: along an axis of one voxel the kernel is 1; a wider one sees padding.
    """
    edge, spacing = list(size), list(spacing_mm)
    strides: list[Ints] = [(1,) * len(size)]
    kernel = [1] * len(size)
    kernels: list[Ints] = []
    while True:
        kernel = [
            3 if (k == 3 or d < _SIMILAR * min(spacing)) and n > 1 else 1
            for k, d, n in zip(kernel, spacing, edge, strict=True)
        ]
        axes = _axes_to_halve(edge, spacing) if len(strides) < most_stages else ()
        if not axes:
            break
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in axes else 1 for axis in range(len(edge))))
        for axis in axes:
            edge[axis] = _ceil(edge[axis] / 2)
            spacing[axis] *= 2
    kernels.append(tuple(3 if n > 1 else 1 for n in edge))  # the coarsest stage: Isensee 2021
    divisor = [math.prod(axis) for axis in zip(*strides, strict=True)]
    patch = tuple(_ceil(n / d) * d for n, d in zip(size, divisor, strict=True))
    return Topology(patch=patch, strides=tuple(strides), kernels=tuple(kernels))


def _axes_to_halve(edge: Sequence[int], spacing: Sequence[float]) -> tuple[int, ...]:
    large = [axis for axis, n in enumerate(edge) if n >= 2 * _SMALLEST_EDGE]
    if not large:
        return ()
    finest = min(spacing[axis] for axis in large)
    axes = tuple(axis for axis in large if spacing[axis] < _SIMILAR * finest)
    lone = len(axes) == 1 and len(edge) > 1
    return () if lone and edge[axes[0]] < 3 * _SMALLEST_EDGE else axes


def smaller_size(topology_: Topology, field: Sequence[float]) -> Ints | None:
    """Return the patch, less one divisor along what covers most of ``field`` (voxels): z, or y and x together.

    ``None`` where the patch is as small as it may be.
    """
    patch, divisor = topology_.patch, topology_.divisor
    share = [n / f for n, f in zip(patch, field, strict=True)]
    in_plane_free = patch[-1] - divisor[-1] >= SMALLEST_SIDE
    z_free = len(patch) == 3 and patch[0] - divisor[0] >= 2 * _SMALLEST_EDGE
    if z_free and (not in_plane_free or share[0] > share[-1]):
        return (patch[0] - divisor[0], *patch[1:])
    if in_plane_free:
        return (*patch[:-2], patch[-2] - divisor[-2], patch[-1] - divisor[-1])
    return None


def feature_widths(base: int, stages: int, *, cap: int) -> Ints:
    """Return the channels per stage: doubled with each resolution up to ``cap``."""
    return tuple(min(base * 2**s, cap) for s in range(stages))


def head_count(stages: int) -> int:
    """Return the number of deep-supervision outputs: all decoder stages but the coarsest, at least one."""
    return max(1, stages - 2)


def deep_supervision_weights(heads: int) -> tuple[float, ...]:
    """Return 1, 1/2, 1/4, ..., divided by their sum (Isensee 2021)."""
    weights = [0.5**head for head in range(heads)]
    return tuple(weight / sum(weights) for weight in weights)


def vnet_blocks(stages: int) -> tuple[Ints, Ints]:
    """Return the V-Net's convolutions per encoder and decoder stage, both finest first.

    1, 2, 3, 3, 3 down and 3, 2, 1, 1 from the coarsest decoder stage up: the network published with Milletari 2016.
    """
    return tuple(min(s + 1, 3) for s in range(stages)), tuple((1, 1, 2, 3)[min(s, 3)] for s in range(stages - 1))


def resenc_blocks(stages: int) -> tuple[Ints, Ints]:
    """Return the residual encoder's blocks per encoder stage and convolutions per decoder stage, both finest first.

    1, 3, 4, 6, 6, ... down and one per stage up: the presets of Isensee 2024.
    """
    return tuple((1, 3, 4, 6)[min(s, 3)] for s in range(stages)), (1,) * (stages - 1)


def training_share(patients: int, folds: int = 5) -> float:
    """Return the share of the patients that a fold trains on: 4/5, less with fewer patients than folds."""
    return 1.0 - 1.0 / min(folds, patients) if patients > 1 else 1.0


def _ceil(value: float) -> int:
    """Return the next integer up; a millionth above one is taken for rounding noise."""
    return math.ceil(value - 1e-6)

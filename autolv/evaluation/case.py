"""One predicted label map against its reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Spacing
from autolv.evaluation.levels import level_means, level_overlap, missed_and_invented, slice_levels
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.evaluation.surface import (
    SURFACE_DICE_TOLERANCES_MM,
    SurfaceDistances,
    assd_mm,
    contour_distances,
    hausdorff_mm,
    hd95_mm,
    surface_dice,
    surface_distances,
)
from autolv.readout.volumes import structure_volumes_ml
from autolv.schema.dataset import Phase
from autolv.schema.results import CaseMetrics, StructureMetrics

Labels = NDArray[np.integer]


class _Surface(TypedDict):
    hausdorff_mm: float
    hd95_mm: float
    assd_mm: float
    surface_dice: dict[str, float]


class _Levels(TypedDict):
    level_dice: dict[str, float]
    level_iou: dict[str, float]
    level_hausdorff_mm: dict[str, float]
    level_hd95_mm: dict[str, float]
    level_assd_mm: dict[str, float]
    level_surface_dice: dict[str, dict[str, float]]


def compare_case(
    prediction: Labels,
    reference: Labels,
    spacing_mm: Spacing,
    structures: Sequence[str],
    *,
    case: str,
    patient: str,
    phase: Phase | None = None,
    group: str | None = None,
    not_annotated: Sequence[str] = (),
) -> CaseMetrics:
    """Compare two (z, y, x) label maps that hold 0 for background and 1 + the position in ``structures``.

    Of structures ``not_annotated`` in the reference there are no metrics. Neither map is changed. What an empty structure
    gives is written in ``evaluation.overlap``. Raises ``DataError`` for maps of different shapes, ``ValueError`` for labels
    that no structure has.
    """
    if prediction.shape != reference.shape:
        raise DataError(
            f"case {case}: the prediction has shape {prediction.shape}, the reference {reference.shape} (z, y, x).",
            remedy="Compare label maps on the same grid.",
        )
    outside, prediction, reference = _near_structures(prediction, reference)
    histogram = joint_histogram(prediction, reference, len(structures) + 1)
    histogram[:, 0, 0] += outside
    levels = slice_levels(reference, structures)
    volumes_ml = structure_volumes_ml(prediction, structures, spacing_mm)
    reference_volumes_ml = structure_volumes_ml(reference, structures, spacing_mm)
    metrics = {}
    for channel, name in enumerate(structures, start=1):
        if name in not_annotated:
            continue
        overlap = overlap_of(histogram, channel)
        missed, invented = missed_and_invented(histogram, channel)
        masks = prediction == channel, reference == channel
        metrics[name] = StructureMetrics(
            dice=overlap.dice,
            iou=overlap.iou,
            **_surface_metrics(*masks, spacing_mm),
            volume_ml=volumes_ml[name],
            reference_volume_ml=reference_volumes_ml[name],
            slices_missed=missed,
            slices_invented=invented,
            empty=overlap.empty,
            **_level_metrics(histogram, channel, levels, contour_distances(*masks, spacing_mm)),
        )
    return CaseMetrics(
        case=case, patient=patient, phase=phase, group=group, structures=metrics, not_annotated=tuple(not_annotated)
    )


def _near_structures(prediction: Labels, reference: Labels) -> tuple[int, Labels, Labels]:
    """Return both maps about all that is labelled in either, and how many voxels of a slice are thus left out.

    Slices stay, and so does a margin of one voxel, so that a thin structure does not look like a flat image.
    """
    labelled = (prediction != 0) | (reference != 0)
    plane = np.logical_or.reduce(labelled, axis=0)  # (y, x)
    sides = []
    for axis, size in enumerate(plane.shape):
        present = np.flatnonzero(plane.any(axis=1 - axis))
        if not present.size:
            return 0, prediction, reference
        sides.append(slice(max(0, int(present[0]) - 1), min(size, int(present[-1]) + 2)))
    inside = (slice(None), *sides)
    outside = plane.size - math.prod(side.stop - side.start for side in sides)
    return outside, prediction[inside], reference[inside]


def _surface_metrics(prediction: NDArray[np.bool_], reference: NDArray[np.bool_], spacing_mm: Spacing) -> _Surface:
    distances = surface_distances(prediction, reference, spacing_mm)
    return _Surface(
        hausdorff_mm=hausdorff_mm(distances),
        hd95_mm=hd95_mm(distances),
        assd_mm=assd_mm(distances),
        surface_dice={f"{t:g}": surface_dice(distances, t) for t in SURFACE_DICE_TOLERANCES_MM},
    )


def _level_metrics(
    histogram: NDArray[np.int64], channel: int, levels: Sequence[str], contours: Sequence[SurfaceDistances]
) -> _Levels:
    """Return overlap pooled over each level's slices, and means over them of the distances between contours."""
    overlap = level_overlap(histogram, channel, levels)
    return _Levels(
        level_dice={level: value.dice for level, value in overlap.items()},
        level_iou={level: value.iou for level, value in overlap.items()},
        level_hausdorff_mm=level_means([hausdorff_mm(d) for d in contours], levels),
        level_hd95_mm=level_means([hd95_mm(d) for d in contours], levels),
        level_assd_mm=level_means([assd_mm(d) for d in contours], levels),
        level_surface_dice={
            f"{t:g}": level_means([surface_dice(d, t) for d in contours], levels) for t in SURFACE_DICE_TOLERANCES_MM
        },
    )

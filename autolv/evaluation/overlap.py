"""Overlap of two label maps: everything from one joint histogram.

Rules for structures without voxels, here and in ``evaluation.surface``:

- empty in prediction and reference (``"both"``): Dice, IoU and all distances are undefined (NaN), left out of means,
  and counted. A correct absence is neither rewarded with 1 nor punished with 0.
- empty in one of them (``"prediction"`` or ``"reference"``, whichever it is): Dice and IoU are 0 and enter the means;
  all distances are undefined (NaN), left out of means, and counted as failures. No stand-in distance is ever used.
- not annotated in the reference: nothing is known; no metric of it is computed, and the pair of structure and case is
  counted.

The preset of the ACDC challenge follows the challenge instead (``evaluation.acdc``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Empty = Literal["", "both", "prediction", "reference"]
_MOST_CLASSES = 15  # 15 x 15 pairs and more do not fit into a byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Counts of voxels of one structure and what follows from them; ``empty`` says which side has none."""

    prediction_voxels: int
    reference_voxels: int
    common_voxels: int

    @property
    def dice(self) -> float:
        """Twice the common voxels over the sum of both; NaN where both are empty, 0 where one is."""
        total = self.prediction_voxels + self.reference_voxels
        return 2.0 * self.common_voxels / total if total else math.nan

    @property
    def iou(self) -> float:
        """The common voxels over those of either (Jaccard); NaN where both are empty, 0 where one is."""
        union = self.prediction_voxels + self.reference_voxels - self.common_voxels
        return self.common_voxels / union if union else math.nan

    @property
    def empty(self) -> Empty:
        """Which of the two holds no voxel of the structure."""
        if not self.prediction_voxels and not self.reference_voxels:
            return "both"
        if not self.prediction_voxels:
            return "prediction"
        return "" if self.reference_voxels else "reference"


def joint_histogram(prediction: NDArray[np.integer], reference: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Return how often each pair of labels meets in each slice: shape (z, reference classes, predicted classes).

    Both arrays are (z, y, x) with values from 0 to ``classes`` - 1. Raises ``ValueError`` for other shapes or values.
    """
    if prediction.shape != reference.shape or prediction.ndim != 3:
        raise ValueError(f"expected two (z, y, x) arrays of one shape, got {prediction.shape} and {reference.shape}")
    for name, array in (("prediction", prediction), ("reference", reference)):
        if array.size and not 0 <= int(array.min()) <= int(array.max()) < classes:
            raise ValueError(f"{name} must hold 0 to {classes - 1}, got {array.min()} to {array.max()}")
    slices = len(reference)
    pairs = reference.astype(np.int32) * classes + prediction  # (z, y, x)
    pairs += np.arange(slices, dtype=np.int32)[:, None, None] * classes**2
    counts = np.bincount(pairs.ravel(), minlength=slices * classes**2)
    return counts.reshape(slices, classes, classes)


def joint_counts(prediction: NDArray[np.uint8], reference: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return how often each pair of labels meets, shape (reference classes, predicted classes), in one pass.

    Both maps have one shape and hold 0 to ``classes`` - 1, which is the caller's to see to.
    """
    if classes > _MOST_CLASSES:
        raise ValueError(f"at most {_MOST_CLASSES} classes can be counted in one byte, got {classes}")
    pairs = reference * np.uint8(classes) + prediction
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def overlap_of(histogram: NDArray[np.int64], channel: int) -> Overlap:
    """Return the overlap of the structure ``channel`` (1-based) over all slices of a (z, c, c) joint histogram.

    Of a sum over slices, (c, c), too.
    """
    total = histogram if histogram.ndim == 2 else histogram.sum(axis=0)  # (reference classes, predicted classes)
    return Overlap(
        prediction_voxels=int(total[:, channel].sum()),
        reference_voxels=int(total[channel].sum()),
        common_voxels=int(total[channel, channel]),
    )

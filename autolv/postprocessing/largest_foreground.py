"""Keep the largest component of all structures together: one heart in an image (Isensee 2021 tries the same first)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.postprocessing import POSTPROCESSING
from autolv.postprocessing._components import components


@POSTPROCESSING.register("largest_foreground")
def largest_foreground(
    labels: NDArray[np.uint8],
    channel: int | None,
    structures: Sequence[str],
    spacing_mm: Spacing,
) -> NDArray[np.uint8]:
    """Return ``labels`` (z, y, x) with all but the largest 3D component of the foreground made background.

    Works on all structures at once, so ``channel`` must be ``None``. Of equals the first in scan order stays.
    """
    if channel is not None:
        raise ValueError(f"largest_foreground works on all structures together, got channel {channel}")
    foreground = labels > 0
    numbered, voxels = components(foreground)
    result = labels.copy()
    result[foreground & (numbered != int(voxels.argmax()))] = 0
    return result

"""Keep the largest component of a structure: a ventricle is one piece, islands elsewhere are errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.postprocessing import POSTPROCESSING
from autolv.postprocessing._components import channels_of, components


@POSTPROCESSING.register("largest_component")
def largest_component(
    labels: NDArray[np.uint8],
    channel: int | None,
    structures: Sequence[str],
    spacing_mm: Spacing,
) -> NDArray[np.uint8]:
    """Return ``labels`` (z, y, x) with all but the largest 3D component of the structure made background.

    Size is the number of voxels; of equals the first in scan order stays. ``channel`` ``None`` does so for each
    structure by itself.
    """
    result = labels.copy()
    for number in channels_of(channel, structures):
        mask = labels == number
        numbered, voxels = components(mask)
        result[mask & (numbered != int(voxels.argmax()))] = 0
    return result

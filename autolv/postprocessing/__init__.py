"""Post-processing: label maps in, label maps out; one file per step, registered under the name that a model stores.

A step is a pure function ``step(labels, channel, structures, spacing_mm, **parameters)`` of labels, uint8 (z, y, x),
that returns new labels and leaves its input as it was. ``channel`` is the label of the structure to work on (1 + its
position in ``structures``), or ``None`` for all of them; ``spacing_mm`` is (z, y, x). Labels without any structure
come back as they are. A step gets the part of the grid about all that is labelled, with a margin of a voxel where there is one,
so its result must not depend on background further away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import ModelError
from autolv.core.geometry import Spacing
from autolv.core.registry import Registry
from autolv.ops.crop import crop, nonzero_box, with_margin
from autolv.schema.results import Step

PostprocessingStep = Callable[..., NDArray[np.uint8]]

POSTPROCESSING: Registry[PostprocessingStep] = Registry("post-processing step", "autolv.postprocessing")


def apply_steps(
    labels: NDArray[np.uint8], steps: Sequence[Step], structures: Sequence[str], spacing_mm: Spacing
) -> tuple[NDArray[np.uint8], tuple[int, ...]]:
    """Return ``labels``, uint8 (z, y, x), after all ``steps`` in turn, and how many voxels each step changed.

    ``structures`` names the labels 1, 2, ...; the input is not changed, and with no steps a copy comes back. Raises
    ``RegistryError`` for an unknown step, ``ModelError`` for a structure that the labels do not have.
    """
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise ValueError(f"labels must be uint8 (z, y, x), got {labels.dtype} of shape {labels.shape}")
    result = labels.copy()
    if not result.any():
        return result, (0,) * len(steps)
    current = crop(result, with_margin(nonzero_box(result), result.shape))  # a view, written to below
    inside, changed = current, []
    for step in steps:
        if step.structure and step.structure not in structures:
            raise ModelError(
                f"post-processing step {step.name!r} is for {step.structure!r}; the structures are "
                f"{', '.join(structures)}.",
                remedy="Run autolv_find_best_config again.",
            )
        channel = 1 + list(structures).index(step.structure) if step.structure else None
        after = POSTPROCESSING.get(step.name)(current, channel, structures, spacing_mm, **step.parameters)
        changed.append(int(np.count_nonzero(after != current)))
        current = after
    inside[...] = current
    return result, tuple(changed)

"""What a network is shown in training: patches after augmentation, with the outlines of their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.reporting._canvas import colour_of, save, sheet
from autolv.reporting.figures import draw_contours, draw_legend

_ACROSS = 6
_SIDE_INCHES = 1.9
_BEHIND_TEXT = {"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1.5}


def patches_figure(
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    names: Sequence[str],
    path: Path,
    structures: Sequence[str],
) -> None:
    """Draw each patch with its name and the outlines of its labels, and write the picture to ``path``.

    ``images`` and ``labels`` are (n, y, x), or (n, z, y, x), of which the middle slice is shown; labels hold 0 and 1 +
    the position in ``structures``. Each patch has its own range of grey, from its 0.5th to its 99.5th percentile, which
    stands below its name: so a wrong scale or shift of intensities is seen too.
    """
    if images.shape != labels.shape or images.ndim not in (3, 4) or len(names) != len(images) or not len(images):
        raise ValueError(
            f"expected as many patches as names, got {images.shape}, {labels.shape} and {len(names)} names"
        )
    flat = images if images.ndim == 3 else images[:, images.shape[1] // 2]
    outlined = labels if labels.ndim == 3 else labels[:, labels.shape[1] // 2]
    across = min(_ACROSS, len(flat))
    down = math.ceil(len(flat) / across)
    figure = sheet(_SIDE_INCHES * across, _SIDE_INCHES * down * flat.shape[1] / flat.shape[2] + 0.4, background="black")
    for number, (patch, mask, name) in enumerate(zip(flat, outlined, names, strict=True), start=1):
        axes = figure.add_subplot(down, across, number)
        low, high = np.percentile(patch, (0.5, 99.5))
        axes.imshow(patch, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
        for channel, structure in reversed(list(enumerate(structures, start=1))):
            draw_contours(axes, mask == channel, colour_of(structure), 1.2, "-")
        axes.set_axis_off()
        text = f"{name}\n{low:.2g} to {high:.2g}"
        axes.text(0.03, 0.97, text, color="white", fontsize=6, va="top", transform=axes.transAxes, bbox=_BEHIND_TEXT)
    draw_legend(figure, structures, with_reference=False)
    save(figure, path)

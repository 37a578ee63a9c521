"""Whether a label map lies on its image's grid."""

from __future__ import annotations

import numpy as np

from autolv.core.geometry import Geometry, Volume
from autolv.datasets._findings import Findings

_SPACING_TOLERANCE = 1e-3  # relative; volumes would differ by 0.3 %
_SILENT_MM = 1e-3  # rounding of headers in single precision
_COPY_HEADER = "Copy the image's header to the label map, after making sure that the two belong together."


def compare_grids(image: Volume, labels: Volume, findings: Findings) -> None:
    """Compare the two grids: shape, spacing, order of axes, position."""
    first, second = image.geometry, labels.geometry
    if image.array.shape != labels.array.shape:
        shapes = f"image {image.array.shape}, labels {labels.array.shape} (z, y, x)"
        findings.error("shapes differ", shapes, "Label this image, on its own grid.")
        return
    spacings = tuple(zip(first.spacing_mm, second.spacing_mm, strict=True))
    if any(abs(a - b) > _SPACING_TOLERANCE * a for a, b in spacings):
        values = f"image {_mm(first.spacing_mm)}, labels {_mm(second.spacing_mm)} mm (z, y, x)"
        findings.error("spacings differ", values, _COPY_HEADER)
        return
    if (first.axes, first.flips) != (second.axes, second.flips):
        values = f"image axes {first.axes} flips {first.flips}, labels axes {second.axes} flips {second.flips}"
        findings.error("orientations differ", values, _COPY_HEADER)
        return
    apart = _apart_mm(first, second)
    if apart > _SILENT_MM:
        findings.warning("positions differ", f"by up to {apart:.4g} mm; voxels are matched by index", _COPY_HEADER)


def _apart_mm(first: Geometry, second: Geometry) -> float:
    """Return the largest distance in space between the same corner of two grids."""
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=np.float64)
    corners[:, :3] *= np.array(first.file_shape) - 1
    difference = corners @ (np.array(first.affine) - np.array(second.affine)).T
    return float(np.linalg.norm(difference[:, :3], axis=1).max())


def _mm(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:g}" for value in spacing)

"""Mitral valve planes from a table: two points of the annulus per case and frame, in the scanner's coordinates."""

from __future__ import annotations

from pathlib import Path

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry
from autolv.datasets._cases_table import read_csv
from autolv.readout.base import Plane, plane_of_points
from autolv.readout.orientation import in_array_mm

Point = tuple[float, float, float]
_POINTS = (("x1_mm", "y1_mm", "z1_mm"), ("x2_mm", "y2_mm", "z2_mm"))
_COLUMNS = ("frame", *_POINTS[0], *_POINTS[1])
Planes = dict[str, dict[int, tuple[Point, Point]]]  # case or patient -> frame -> two points


def read_planes(path: Path) -> Planes:
    """Return the points of a CSV table with the columns case, frame, x1_mm to z2_mm (RAS+, as in NIfTI).

    ``case`` is a report's name or a patient. Raises ``DataError`` naming the line.
    """
    found: Planes = {}
    for number, row in enumerate(read_csv(path, also=_COLUMNS), start=2):
        case = row.get("case", "")
        try:
            frame = int(row["frame"])
            first, second = (tuple(float(row[column]) for column in point) for point in _POINTS)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{path}, line {number}: a case, a frame and six coordinates in mm are needed ({error}).",
                remedy=f"Give the columns case, {', '.join(_COLUMNS)}.",
            ) from error
        found.setdefault(case, {})[frame] = ((first[0], first[1], first[2]), (second[0], second[1], second[2]))
    return found


def planes_in_array(points: dict[int, tuple[Point, Point]], geometry: Geometry) -> dict[int, Plane]:
    """Return the planes by frame in the array's coordinates; ``ValueError`` where two points are the same."""
    return {
        frame: plane_of_points(in_array_mm(geometry, first), in_array_mm(geometry, second))
        for frame, (first, second) in points.items()
    }

"""What all figures share: colours, the empty sheet, the file. No global state of matplotlib is read or changed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.schema.record import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color universal design": told apart with any kind of colour vision, on white and on black
COLOURS = {LV_CAVITY: "#E69F00", LV_MYOCARDIUM: "#56B4E9", RV_CAVITY: "#CC79A7"}
OTHER_COLOUR = "#009E73"
INK = "#222222"
_DPI = 130


def colour_of(structure: str) -> str:
    """Return the one colour that a structure has in every figure."""
    return COLOURS.get(structure, OTHER_COLOUR)


def sheet(width_inches: float, height_inches: float, *, background: str = "white", arranged: bool = True) -> Figure:
    """Return an empty figure whose parts are laid out without overlap; or not ``arranged``, where they are put."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width_inches, height_inches), layout="constrained" if arranged else None, facecolor=background
    )
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, title: str, x_label: str) -> None:
    """Give ``axes`` a title, a light grid and no box."""
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x_label, fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path`` as PNG, whole or not at all."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, facecolor=figure.get_facecolor())
    write_bytes(path, drawn.getvalue())

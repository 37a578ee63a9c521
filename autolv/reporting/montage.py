"""Every slice at one phase with its outlines, as one drawing that also prints."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from autolv.reporting._canvas import colour_of
from autolv.reporting._drawing import plain, text
from autolv.reporting._html import data_uri, escaped
from autolv.reporting.sprites import Pictures, path_of, sheets_of

_TILE = 120.0  # units of the drawing that a tile is wide
_COLUMNS = (4, 3)


def montage_svg(
    pictures: Pictures, view: tuple[slice, slice], frame: int, title: str, flagged: Collection[int] = ()
) -> str:
    """Return the drawing of ``frame``; slices in ``flagged`` (0-based) get a frame of warning."""
    one = Pictures(
        labels={frame: pictures.labels[frame]}, structures=pictures.structures, spacing_mm=pictures.spacing_mm,
        images={frame: pictures.images[frame]} if frame in pictures.images else {},
    )  # fmt: skip
    labels = one.labels[frame][:, *view]
    depth, rows, columns = labels.shape
    across = min(min(_COLUMNS, key=lambda columns: -depth % columns), depth)  # fewest empty places
    high = _TILE * rows * pictures.spacing_mm[1] / (columns * pictures.spacing_mm[2])
    down = math.ceil(depth / across)
    sheets = sheets_of(one, view)
    parts = [
        f'<svg class="drawing montage" viewBox="0 0 {plain(across * _TILE)} {plain(down * high)}" role="img" '
        f'aria-label="{escaped(title)}">',
    ]
    for place, z in enumerate(pictures.in_file_order()):
        row, column = divmod(place, across)
        parts.append(f'<svg x="{plain(column * _TILE)}" y="{plain(row * high)}" width="{plain(_TILE)}" '
                     f'height="{plain(high)}" viewBox="0 0 {plain(_TILE)} {plain(high)}">'
                     f'<rect width="{plain(_TILE)}" height="{plain(high)}" fill="#000"/>')  # fmt: skip
        if sheets is not None:
            at_row, at_column = divmod(z, sheets.columns)
            parts.append(
                f'<use href="#sheet-{frame}" transform="translate({plain(-at_column * _TILE)} {plain(-at_row * high)})"/>'
            )
        parts.append(
            f'<g transform="scale({_TILE / columns / 2:.5f} {high / rows / 2:.5f}) translate(1 1)" '
            'fill="none" stroke-width="2.4">'
        )
        for channel, name in reversed(list(enumerate(pictures.structures, start=1))):
            path = path_of(np.asarray(labels[z] == channel))
            if path:
                parts.append(f'<path d="{path}" stroke="{colour_of(name)}" class="outline"/>')
        parts.append("</g>")
        if z in flagged:
            parts.append(f'<rect x="1" y="1" width="{plain(_TILE - 2)}" height="{plain(high - 2)}" class="flagged"/>')
        parts += [text(4, 12, str(pictures.slice_number(z)), "on-image", "start"), "</svg>"]
    if sheets is not None:
        wide, tall = sheets.columns * _TILE, math.ceil(depth / sheets.columns) * high
        parts.insert(1, f'<defs><image id="sheet-{frame}" width="{plain(wide)}" height="{plain(tall)}" '
                     f'preserveAspectRatio="none" href="{data_uri(sheets.jpegs[frame])}"/></defs>')  # fmt: skip
    return "".join([*parts, "</svg>"])

"""The worst cases of a cross-validation: the slice with most wrong voxels, both outlines, and what the rules found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.evaluation.means import mean
from autolv.reporting._canvas import colour_of
from autolv.reporting._drawing import plain, text
from autolv.reporting._html import data_uri, escaped
from autolv.reporting._text import number, short_of
from autolv.reporting.figures import heart_window
from autolv.reporting.sprites import jpeg, path_of, resized, turned
from autolv.schema.results import CaseMetrics

_SIDE = 260.0  # units of a picture's drawing across
_PIXELS = 260
_QUALITY = 82


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorstCase:
    """One case: arrays (z, y, x) of one shape, labels 0 and 1 + the position in ``structures``; what the rules found."""

    metrics: CaseMetrics
    image: NDArray[np.generic]
    prediction: NDArray[np.integer]
    reference: NDArray[np.integer]
    structures: Sequence[str]
    spacing_mm: tuple[float, float, float]
    causes: Sequence[str]


def worst_first(cases: Sequence[CaseMetrics]) -> list[CaseMetrics]:
    """Return the cases by the mean Dice of their structures, lowest first; those without any Dice are left out."""
    scored = [(mean([one.dice for one in case.structures.values()]), case.case, case) for case in cases]
    return [case for score, _, case in sorted(scored, key=lambda row: row[:2]) if score == score]  # not NaN


def worst_slice(prediction: NDArray[np.integer], reference: NDArray[np.integer]) -> int:
    """Return the slice (0-based) in which most voxels are wrong, the first among equals."""
    return int(np.count_nonzero(prediction != reference, axis=(1, 2)).argmax())


def worst_case_figure(case: WorstCase) -> str:
    """Return a picture of the worst slice, its Dice and the likely causes."""
    z = worst_slice(case.prediction, case.reference)
    metrics = case.metrics
    dice = ", ".join(f"{short_of(name)} {number(one.dice, 3)}" for name, one in metrics.structures.items())
    found = "".join(f"<li>{escaped(words)}</li>" for words in case.causes) or "<li>no rule applies</li>"
    about = ", ".join(word for word in (metrics.patient, metrics.phase, metrics.group) if word)
    return (
        f'<figure class="worst">{_picture(case, z)}<figcaption><b>{escaped(metrics.case)}</b> ({escaped(about)})<br>'
        f"Dice {escaped(dice)}; slice {z + 1} of {len(case.reference)}<ul>{found}</ul></figcaption></figure>"
    )


def _picture(case: WorstCase, z: int) -> str:
    image, prediction, reference = (
        turned(array[z : z + 1])[0] for array in (case.image, case.prediction, case.reference)
    )
    view = heart_window((prediction != 0) | (reference != 0))
    rows, columns = prediction[view].shape
    high = _SIDE * rows * case.spacing_mm[1] / (columns * case.spacing_mm[2])
    size = (max(8, round(_PIXELS * high / _SIDE)), _PIXELS)
    grey = resized(_grey(image[view]), size)
    parts = [f'<svg class="drawing" viewBox="0 0 {plain(_SIDE)} {plain(high)}" role="img" '
             f'aria-label="{escaped(case.metrics.case)}, slice {z + 1}">'
             f'<image width="{plain(_SIDE)}" height="{plain(high)}" preserveAspectRatio="none" '
             f'href="{data_uri(jpeg(grey, _QUALITY))}"/>'
             f'<g transform="scale({_SIDE / columns / 2:.5f} {high / rows / 2:.5f}) translate(1 1)" fill="none">']  # fmt: skip
    for labels, kind in ((prediction[view], ""), (reference[view], "reference")):
        for channel, name in reversed(list(enumerate(case.structures, start=1))):
            path = path_of(np.asarray(labels == channel))
            if path:
                colour = "#fff" if kind else colour_of(name)
                parts.append(f'<path d="{path}" stroke="{colour}" class="outline {kind or "found"}"/>')
    return "".join([*parts, "</g>", text(5, 14, f"slice {z + 1}", "on-image", "start"), "</svg>"])


def _grey(part: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.asarray(part, dtype=np.float32)
    low, high = (float(value) for value in np.nanpercentile(values, (0.5, 99.5)))
    scaled = (np.nan_to_num(values, nan=low) - low) * (255.0 / max(high - low, 1e-6))
    return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)

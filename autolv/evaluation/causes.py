"""Why a case may have gone wrong: rules over what is measured, each a small function that finds a sentence or nothing.

They name what is there, not what is proven to be the cause; several may hold. The thresholds are this project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.evaluation.levels import slice_levels
from autolv.evaluation.surface import surface
from autolv.schema.fingerprint import CaseFingerprint

Mask = NDArray[np.bool_]
_CONFUSED_SHARE = 0.2  # of all wrong voxels
_FAR_MM = 20.0  # in-plane, beyond the box about the reference's heart
_CONTOUR_SHARE = 0.4  # of a cavity's voxels on its contour: a disc of a radius below five pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """A predicted and a reference label map (z, y, x) that hold 0 and 1 + the position in ``structures``."""

    prediction: NDArray[np.integer]
    reference: NDArray[np.integer]
    structures: Sequence[str]
    spacing_mm: Spacing
    phase: str | None = None

    def of(self, labels: NDArray[np.integer], *names: str) -> Mask:
        """Return where ``labels`` hold one of the structures ``names``; those that were not segmented are nowhere."""
        return np.isin(labels, [c for c, name in enumerate(self.structures, start=1) if name in names])

    @property
    def voxel_ml(self) -> float:
        """The volume of a voxel."""
        return math.prod(self.spacing_mm) / 1000.0


def lv_missed_at_apex(case: Compared) -> str:
    """Find apical slices in which the reference has the LV and the prediction has none of it."""
    return _slices(case, "apex", missed=True, words="LV missed in {} apical slice{}")


def lv_missed_at_base(case: Compared) -> str:
    """Find basal slices in which the reference has the LV and the prediction has none of it."""
    return _slices(case, "base", missed=True, words="LV missed in {} basal slice{}")


def extra_basal_slices(case: Compared) -> str:
    """Find slices beyond the reference's basal end in which the prediction has the LV."""
    return _slices(case, "base", missed=False, words="LV drawn in {} slice{} above the reference's base")


def rv_missed(case: Compared) -> str:
    """Find slices in which the reference has the RV cavity and the prediction has none of it."""
    predicted, referred = (case.of(labels, RV_CAVITY).any(axis=(1, 2)) for labels in (case.prediction, case.reference))
    count = np.count_nonzero(referred & ~predicted)
    return f"RV missed in {count} slice{'' if count == 1 else 's'}" if count else ""


def rv_confused(case: Compared) -> str:
    """Find left and right ventricle taken for each other in a fifth of all wrong voxels or more."""
    left, right = (LV_CAVITY, LV_MYOCARDIUM), (RV_CAVITY,)
    confused = case.of(case.prediction, *left) & case.of(case.reference, *right)
    confused |= case.of(case.prediction, *right) & case.of(case.reference, *left)
    wrong, count = np.count_nonzero(case.prediction != case.reference), np.count_nonzero(confused)
    if not count or count < _CONFUSED_SHARE * wrong:
        return ""
    return f"RV and LV confused in {count * case.voxel_ml:.1f} ml, {100 * count / wrong:.0f} % of all wrong voxels"


def far_false_positives(case: Compared) -> str:
    """Find labels more than 20 mm in-plane outside the box about the reference's heart."""
    heart = (case.reference != 0).any(axis=0)  # (y, x)
    if not heart.any():
        return ""
    near = np.zeros_like(heart)
    sides = []
    for axis in (0, 1):
        present = np.flatnonzero(heart.any(axis=1 - axis))
        margin = math.ceil(_FAR_MM / case.spacing_mm[axis + 1])
        sides.append(slice(max(0, int(present[0]) - margin), int(present[-1]) + margin + 1))
    near[tuple(sides)] = True
    count = np.count_nonzero((case.prediction != 0) & ~near)
    return f"{count * case.voxel_ml:.1f} ml labelled more than {_FAR_MM:.0f} mm outside the heart" if count else ""


def small_systolic_cavity(case: Compared) -> str:
    """Find a systolic cavity of which two fifths of the voxels or more lie on its contour, as in hypertrophy."""
    cavity = case.of(case.reference, LV_CAVITY)
    count = np.count_nonzero(cavity)
    if case.phase != "ES" or not count:
        return ""
    share = np.count_nonzero(surface(cavity, axes=(1, 2))) / count
    if share < _CONTOUR_SHARE:
        return ""
    return (
        f"small systolic cavity ({count * case.voxel_ml:.0f} ml): {100 * share:.0f} % of its voxels lie on the contour"
    )


_RULES: tuple[Callable[[Compared], str], ...] = (
    lv_missed_at_apex, lv_missed_at_base, extra_basal_slices, rv_missed, rv_confused, far_false_positives,
    small_systolic_cavity,
)  # fmt: skip


def unusual_image(case: CaseFingerprint, cases: Iterable[CaseFingerprint]) -> str:
    """Find what of a case's spacing and heart intensity lies outside the range of the other patients among ``cases``."""
    others = [one for one in cases if one.patient != case.patient]
    found = []
    measures: tuple[tuple[str, Callable[[CaseFingerprint], float]], ...] = (
        ("slice distance [mm]", lambda one: one.spacing_mm[0]), ("pixel [mm]", lambda one: one.spacing_mm[1]),
        ("brightness of the heart", lambda one: one.brightness), ("contrast of the heart", lambda one: one.contrast),
    )  # fmt: skip
    for words, measure in measures:
        value, known = measure(case), [v for one in others if not math.isnan(v := measure(one))]
        if known and not min(known) - 1e-6 <= value <= max(known) + 1e-6 and not math.isnan(value):
            found.append(f"{words} {value:.2f}, other patients {min(known):.2f} to {max(known):.2f}")
    return f"unlike the other images: {'; '.join(found)}" if found else ""


def likely_causes(
    case: Compared, image: CaseFingerprint | None = None, cases: Iterable[CaseFingerprint] = ()
) -> tuple[str, ...]:
    """Return what all rules find; ``image`` is the case's fingerprint among those of all ``cases``, where it is known."""
    found = [rule(case) for rule in _RULES]
    found += [] if image is None else [unusual_image(image, cases)]
    return tuple(words for words in found if words)


def _slices(case: Compared, level: str, *, missed: bool, words: str) -> str:
    lv = (LV_CAVITY, LV_MYOCARDIUM)
    there = [case.of(labels, *lv).any(axis=(1, 2)) for labels in (case.prediction, case.reference)]
    predicted, referred = there  # (z,) each
    at = np.asarray(slice_levels(case.reference, case.structures)) == level
    count = np.count_nonzero(at & (referred & ~predicted if missed else predicted & ~referred))
    return words.format(count, "" if count == 1 else "s") if count else ""

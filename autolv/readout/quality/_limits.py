"""What a model was trained on, as far as a new case can be compared with it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from autolv.schema.fingerprint import Fingerprint

Range = tuple[float, float]
FEWEST_CASES = 10  # from which on a smallest and a largest value say something of the cases to come


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The smallest and largest value among ``cases`` training cases; NaN where none is known.

    ``spacing_mm`` is (z, y, x). Intensities of magnetic resonance have no unit, so the heart's are compared with those of the
    field's central 160 mm, as the network sees them (a wider field with more air looks the same): ``brightness`` is (mean
    within the labels - mean of the centre) / SD of the centre, ``contrast`` is SD within the labels / SD of the centre.
    """

    cases: int
    spacing_mm: tuple[Range, Range, Range]
    brightness: Range
    contrast: Range

    @classmethod
    def of(cls, fingerprint: Fingerprint) -> Limits:
        """Return the limits of the training cases that ``fingerprint`` describes."""
        z, y, x = ((spread.minimum, spread.maximum) for spread in fingerprint.spacing_mm)
        return cls(
            cases=len(fingerprint.cases),
            spacing_mm=(z, y, x),
            brightness=_range(case.brightness for case in fingerprint.cases),
            contrast=_range(case.contrast for case in fingerprint.cases),
        )


def _range(values: Iterable[float]) -> Range:
    known = [value for value in values if not math.isnan(value)]
    return (min(known), max(known)) if known else (math.nan, math.nan)

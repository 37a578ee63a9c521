"""Numbers that carry their unit and convention; what lacks a part is blank and passes the reason on."""

from __future__ import annotations

import math
from collections.abc import Callable

from autolv.schema.readout import Quantity


def known(value: float, unit: str, convention: str = "") -> Quantity:
    """Return a quantity with a value; raises ``ValueError`` if that is not finite."""
    if not math.isfinite(value):
        raise ValueError(f"a known quantity must be finite, got {value}")
    return Quantity(value=float(value), unit=unit, convention=convention)


def blank(unit: str, reason: str, convention: str = "") -> Quantity:
    """Return a quantity without value, for ``reason``."""
    return Quantity(value=None, unit=unit, convention=convention, reason=reason)


def derived(formula: Callable[..., float], unit: str, *parts: Quantity, convention: str = "") -> Quantity:
    """Return ``formula`` of the parts' values; blank with the first lacking part's reason, or if the result is not finite."""
    values = []
    for part in parts:
        if part.value is None:
            return blank(unit, part.reason, convention)
        values.append(part.value)
    value = formula(*values)
    return known(value, unit, convention) if math.isfinite(value) else blank(unit, "division by zero", convention)

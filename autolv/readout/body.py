"""Body surface area, to index volumes and mass by."""

from __future__ import annotations

import math

from autolv.readout.quantities import blank, known
from autolv.schema.readout import BsaFormula, Quantity

_WORDS = {"mosteller": "Mosteller 1987", "dubois": "DuBois and DuBois 1916", "haycock": "Haycock 1978"}


def body_surface_m2(height_cm: float, weight_kg: float, formula: BsaFormula = "mosteller") -> float:
    """Return the body surface in m² from height in cm and weight in kg.

    Formulas: Mosteller 1987 (N Engl J Med 317:1098), DuBois 1916 (Arch Intern Med 17:863), Haycock 1978 (J Pediatr 93:62).
    """
    if not (height_cm > 0 and weight_kg > 0):
        raise ValueError(f"height and weight must be positive, got {height_cm} cm and {weight_kg} kg")
    if formula == "mosteller":
        return math.sqrt(height_cm * weight_kg / 3600.0)
    if formula == "dubois":
        return float(0.007184 * height_cm**0.725 * weight_kg**0.425)
    return float(0.024265 * height_cm**0.3964 * weight_kg**0.5378)


def surface_quantity(height_cm: float | None, weight_kg: float | None, formula: BsaFormula) -> Quantity:
    """Return the body surface area, blank where height or weight is not known."""
    convention = f"body surface area after {_WORDS[formula]}"
    if height_cm is None or weight_kg is None:
        lacking = [name for name, value in (("height", height_cm), ("weight", weight_kg)) if value is None]
        verb = "is" if len(lacking) == 1 else "are"
        return blank("m2", f"{' and '.join(lacking)} {verb} not known", convention)
    return known(body_surface_m2(height_cm, weight_kg, formula), "m2", convention)

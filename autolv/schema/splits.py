"""Who trains and who validates: always whole patients."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from autolv.schema.record import Record

SplitBy = Literal["patient", "group", "vendor", "centre"]


class Fold(Record):
    """One fold's patients. ``name`` says what is left out where the split is by group, vendor or centre."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]


class Splits(Record):
    """All folds. A patient on both sides of a fold is refused on loading."""

    version: Literal[1] = 1
    dataset: str
    by: SplitBy
    seed: int
    folds: tuple[Fold, ...]

    @model_validator(mode="after")
    def _no_patient_on_both_sides(self) -> Splits:
        for number, fold in enumerate(self.folds):
            both = sorted(set(fold.train) & set(fold.validation))
            if both:
                raise ValueError(f"fold {number} has patients on both sides: {', '.join(both[:10])}")
        return self

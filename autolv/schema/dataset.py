"""A dataset's cases: one image (one frame of one patient) with its label map and what is known of the patient."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from autolv.core.labels import LabelSchema
from autolv.schema.record import Record

Phase = Literal["ED", "ES"]


class Case(Record):
    """One 3D frame. ``image`` and ``label`` are paths relative to the dataset's raw folder, with forward slashes.

    ``frame`` is the 1-based number of the frame in its cine, as ACDC counts them; ``None`` where unknown.
    """

    case: str
    patient: str
    image: str
    label: str | None = None
    frame: int | None = None
    phase: Phase | None = None
    group: str | None = None
    vendor: str | None = None
    centre: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None


class Dataset(Record):
    """A raw dataset: ``labels`` maps structure names (``core.labels.STRUCTURES``) to the codes of its files.

    ``training`` are the cases that training, choice and calibration may read; ``test`` those that they never do.
    ``patient_rule`` says in words how the patient of each case was found.
    """

    name: str
    labels: dict[str, int]
    file_ending: str
    training: tuple[Case, ...]
    test: tuple[Case, ...] = ()
    patient_rule: str = "column 'patient' of cases.csv"

    @property
    def schema_(self) -> LabelSchema:
        """The label schema of the files."""
        return LabelSchema(self.labels)

    @property
    def patients(self) -> tuple[str, ...]:
        """The training patients, sorted, each once."""
        return tuple(sorted({case.patient for case in self.training}))

    @model_validator(mode="after")
    def _check(self) -> Dataset:
        LabelSchema(self.labels)
        names = [case.case for case in (*self.training, *self.test)]
        if len(set(names)) != len(names):
            raise ValueError("two cases have the same name")
        return self

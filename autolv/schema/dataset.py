"""A dataset's cases: one image (one frame of one patient) with its label map and what is known of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import field_validator, model_validator

from autolv.core.labels import STRUCTURES, LabelSchema
from autolv.schema.record import Record

Phase = Literal["ED", "ES"]
Sex = Literal["F", "M"]


class Case(Record):
    """One 3D frame. ``image`` and ``label`` are paths relative to the dataset's raw folder, with forward slashes.

    ``frame`` is the 1-based number of the frame in its cine, as ACDC counts them; ``None`` where unknown. ``annotated``
    names the structures that were looked for in ``label``; ``None`` is all of the dataset. Of the others it says nothing:
    that they have no voxels does not mean that they are not there.
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
    sex: Sex | None = None
    age_years: float | None = None
    rr_ms: float | None = None
    annotated: tuple[str, ...] | None = None

    def not_annotated(self, structures: Sequence[str]) -> tuple[str, ...]:
        """Return those of ``structures`` that were not looked for in ``label``."""
        return () if self.annotated is None else tuple(name for name in structures if name not in self.annotated)

    @field_validator("annotated")
    @classmethod
    def _known_structures(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (not names or not set(names) <= set(STRUCTURES)):
            raise ValueError(f"annotated structures must be some of {', '.join(STRUCTURES)}, got {names}")
        return names


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


class ConversionReport(Record):
    """What a conversion found. ``frames`` counts cases per phase (``"ED"``, ``"ES"``, ``"unknown"``).

    ``labels_seen`` tells, for each code in the label files (as text), in how many cases it occurs; ``labels`` which
    structure has which code. ``skipped`` names what was left out, with the reason.
    """

    version: Literal[1] = 1
    kind: str
    source: str
    dataset: str
    cases: int
    test_cases: int
    patients: int
    cines: int = 0
    frames: dict[str, int]
    labels: dict[str, int]
    labels_seen: dict[str, int]
    patient_rule: str
    problems: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def to_text(self) -> str:
        """Return the report as lines for people."""
        phases = ", ".join(f"{count} {phase}" for phase, count in self.frames.items() if count)
        seen = ", ".join(f"{code} in {count} cases" for code, count in self.labels_seen.items())
        lines = [
            f"{self.kind}: {self.source} -> {self.dataset}",
            f"  training: {self.cases} cases of {self.patients} patients ({phases}); test: {self.test_cases} cases",
            f"  patient: {self.patient_rule}",
            f"  labels: {', '.join(f'{name} = {code}' for name, code in self.labels.items())} (seen: {seen or 'none'})",
        ]
        if self.cines:
            lines.append(f"  whole cines beside the frames: {self.cines} (left in the source)")
        lines += [f"  note: {problem}" for problem in self.problems]
        lines += [f"  skipped {name}: {reason}" for name, reason in self.skipped]
        return "\n".join(lines)


class CheckProblem(Record):
    """One finding of the dataset check: what was seen in which case, and what to do about it."""

    case: str
    severity: Literal["error", "warning"]
    problem: str
    values: str
    remedy: str


class CheckReport(Record):
    """All findings of the dataset check. ``twins`` lists patients that share an image; they must stay in one fold."""

    version: Literal[1] = 1
    dataset: str
    cases: int
    problems: tuple[CheckProblem, ...] = ()
    twins: tuple[tuple[str, ...], ...] = ()

    @property
    def fatal(self) -> bool:
        """Whether any finding is an error: then nothing may be planned or trained on the dataset."""
        return any(problem.severity == "error" for problem in self.problems)

    def to_table(self) -> str:
        """Return the findings as a plain-text table: case, severity, problem, values, remedy; errors first."""
        if not self.problems:
            return f"{self.dataset}: {self.cases} cases checked, no problem found."
        header = ("case", "severity", "problem", "values", "remedy")
        ordered = sorted(self.problems, key=lambda p: (p.severity != "error", p.case, p.problem))
        return _columns(header, [(p.case, p.severity, p.problem, p.values, p.remedy) for p in ordered])


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns two spaces apart, with a rule below the header; the last column is not padded."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [header, tuple("-" * width for width in widths), *rows]
    return "\n".join("  ".join(f"{v:<{w}}" for v, w in zip(line, widths, strict=True)).rstrip() for line in lines)

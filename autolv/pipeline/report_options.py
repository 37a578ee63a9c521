"""What may be chosen of a report, by whichever command writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autolv.core.errors import DataError
from autolv.pipeline.inputs import find_inputs
from autolv.pipeline.patient_tables import Patients, read_normal_ranges, read_patients
from autolv.pipeline.valve_planes import Planes, read_planes
from autolv.readout.base import Plane
from autolv.readout.compose import Rules
from autolv.readout.normal import Population
from autolv.readout.volumes import MYOCARDIAL_DENSITY_G_PER_ML
from autolv.schema.readout import BasalRule, BsaFormula, PapillaryRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """By which rules a report reads label maps out, what it compares them with, and what it writes beside its pages.

    ``reference`` is where label maps of the same names lie to compare with; without it those of the dataset are taken, where
    it has them. ``basal_rule`` says where the LV ends at the base; ``valve_planes`` is the table that the rule ``valve_plane``
    goes by: CSV with case, frame, x1_mm ... z2_mm, two points of the mitral annulus. ``papillary_rule`` says where papillary
    muscles count; ``in_mass`` looks for them in the images. ``ed_frame`` and ``es_frame`` count from 1, and are of one patient
    alone. ``cases`` is a table of what is known of them (CSV, columns as in ``cases.csv``) which goes before what the
    dataset says; ``normal_ranges`` one of ranges of healthy people (``pipeline.patient_tables``). ``pdf`` writes each page on
    two pages of A4 too, ``png`` in one picture. Raises ``DataError`` where the rule ``valve_plane`` comes without a table, or
    a table without the rule.
    """

    reference: Path | str | None = None
    basal_rule: BasalRule = "as_segmented"
    valve_planes: Path | str | None = None
    papillary_rule: PapillaryRule = "in_cavity"
    density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML
    bsa_formula: BsaFormula = "mosteller"
    cases: Path | str | None = None
    normal_ranges: Path | str | None = None
    ed_frame: int | None = None
    es_frame: int | None = None
    pdf: bool = False
    png: bool = False

    def __post_init__(self) -> None:
        if (self.basal_rule == "valve_plane") != (self.valve_planes is not None):
            raise DataError("the basal rule valve_plane and a table of valve planes go together.",
                            remedy="Give both --basal-rule valve_plane and --valve-planes TABLE, or neither.")  # fmt: skip

    def planes(self) -> Planes:
        """Return what the table of valve planes says; nothing where there is none."""
        return {} if self.valve_planes is None else read_planes(Path(self.valve_planes))

    def facts(self) -> Patients:
        """Return what the table of patients says; nothing where there is none."""
        return {} if self.cases is None else read_patients(Path(self.cases))

    def normal(self) -> tuple[Population, ...]:
        """Return the laboratory's normal ranges; none where no table is named."""
        return () if self.normal_ranges is None else read_normal_ranges(Path(self.normal_ranges))

    def rules(self, planes: Mapping[int, Plane], normal: tuple[Population, ...] = ()) -> Rules:
        """Return the rules of the read-out of a patient with these valve ``planes``, and ``normal`` ranges."""
        return Rules(
            basal_rule=self.basal_rule, papillary_rule=self.papillary_rule, density_g_per_ml=self.density_g_per_ml,
            bsa_formula=self.bsa_formula, planes=planes, normal=normal,
        )  # fmt: skip

    def check_phases(self, place: Path, patients: int) -> None:
        """Raise ``DataError`` where frames of end-diastole or end-systole are named and ``place`` holds several patients."""
        if patients > 1 and (self.ed_frame, self.es_frame) != (None, None):
            raise DataError(
                f"frames of end-diastole and end-systole were given, but {place} holds {patients} patients.",
                remedy="Report one patient at a time, or name the phases in cases.csv.",
            )

    def check_places(self) -> None:
        """Raise ``DataError`` where a file that is named cannot be used: before long work whose end it is, not after."""
        self.planes(), self.facts(), self.normal()
        if self.reference is not None:
            find_inputs(Path(self.reference))

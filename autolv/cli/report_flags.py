"""The flags of a report, which ``autolv_report`` and ``autolv_predict --report`` share. Imports nothing that is slow."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from autolv.cli.arguments import count, positive
from autolv.cli.run import optional_path

if TYPE_CHECKING:
    from autolv.pipeline.report_options import ReportOptions

# field of ReportOptions -> its flag, and what argparse must know; the defaults are the record's
_FLAGS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "reference": (("-r", "--reference"), {
        "metavar": "REF",
        "help": "label maps of the same names to compare with (default: those of -d DATASET, where it has them)",
    }),
    "basal_rule": (("--basal-rule",), {
        "choices": ("as_segmented", "ring50", "valve_plane"),
        "help": "where the LV ends at the base (default: as_segmented)",
    }),
    "valve_planes": (("--valve-planes",), {
        "metavar": "TABLE", "help": "CSV: case, frame, x1_mm ... z2_mm, two points of the mitral annulus",
    }),
    "papillary_rule": (("--papillary-rule",), {
        "choices": ("in_cavity", "in_mass"),
        "help": "where papillary muscles count; in_mass looks for them in the images (default: in_cavity)",
    }),
    "density_g_per_ml": (("--density",), {
        "metavar": "G_PER_ML", "type": positive, "help": "of myocardium, in g/ml (default: 1.05)",
    }),
    "bsa_formula": (("--bsa",), {
        "choices": ("mosteller", "dubois", "haycock"), "help": "formula of the body surface area (default: mosteller)",
    }),
    "cases": (("--cases",), {
        "metavar": "TABLE", "help": "CSV as cases.csv: patient (or case), height_cm, weight_kg, sex, age_years, rr_ms, ...",
    }),
    "normal_ranges": (("--normal-ranges",), {
        "metavar": "TABLE", "help": "CSV of your own normal ranges: quantity, low, high, source; sex, age_from, age_to, ...",
    }),
    "ed_frame": (("--ed",), {
        "metavar": "FRAME", "type": count, "help": "frame of end-diastole, from 1 (one patient only)",
    }),
    "es_frame": (("--es",), {
        "metavar": "FRAME", "type": count, "help": "frame of end-systole, from 1 (one patient only)",
    }),
    "pdf": (("--pdf",), {"action": "store_true", "help": "also write each page as PDF: two pages of A4"}),
    "png": (("--png",), {"action": "store_true", "help": "also write each page as one picture"}),
}  # fmt: skip
_PLACES = ("reference", "valve_planes", "cases", "normal_ranges")


def add_report_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags of a report; one that is not given is ``None``."""
    for field, (names, rest) in _FLAGS.items():
        parser.add_argument(*names, dest=field, default=None, **rest)


def report_flags_given(args: argparse.Namespace) -> list[str]:
    """Return the flags of a report that were given, as they are written."""
    return [_FLAGS[field][0][-1] for field in _given(args)]


def report_options(args: argparse.Namespace) -> ReportOptions:
    """Return the options that the flags say; raises ``DataError`` where they contradict one another."""
    from autolv.pipeline.report_options import ReportOptions

    places = {field: optional_path(getattr(args, field)) for field in _PLACES}
    return ReportOptions(**(_given(args) | places))


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {field: getattr(args, field) for field in _FLAGS if getattr(args, field) is not None}

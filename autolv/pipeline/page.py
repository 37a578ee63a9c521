"""The page of a fold, written anew whenever there is more to see."""

from __future__ import annotations

from pathlib import Path

from autolv.reporting.pages import run_page
from autolv.schema.record import read_record, write_text
from autolv.schema.results import Evaluation, RunRecord


def write_page(record: RunRecord, place: Path) -> None:
    """Write ``report.html`` of the fold in ``place`` from its record and from what lies there so far."""
    scores = place / "evaluation.json"
    pictures = (
        ("How it went", "Dice on patches is that of unaugmented patches about the hearts of validation patients.",
         place / "progress.png"),
        ("What the network was shown", "The first patches after augmentation, with the outlines of their labels and the "
         "values that are shown as black and white. What is even at the margins lies beyond the image.",
         place / "patches.png"),
    )  # fmt: skip
    evaluation = read_record(Evaluation, scores) if scores.exists() else None
    write_text(place / "report.html", run_page(record, evaluation, pictures))

"""Recipe of ``autolv_convert``: a source in any known layout becomes a raw dataset."""

from __future__ import annotations

import logging
from pathlib import Path

from autolv.core.workspace import Workspace
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.pipeline.context import thread_count
from autolv.schema.dataset import ConversionReport

_log = logging.getLogger(__name__)
_NAMED = 5  # at most so many cases are named in a message


def convert(
    kind: str,
    source: Path | str,
    *,
    dataset: str,
    root: Path | str = ".",
    workers: int | None = None,
    overwrite: bool = False,
    seed: int = 0,
    labels: dict[str, int] | None = None,
    image_pattern: str | None = None,
    label_pattern: str | None = None,
    table: Path | str | None = None,
    patient_pattern: str | None = None,
    allow_missing: bool = False,
    patients: int = 20,
    test_patients: int = 0,
    frames: int | None = None,
    preset: str = "default",
) -> ConversionReport:
    """Convert ``source`` with the converter ``kind`` into ``raw_data/<dataset>`` and return what was found.

    What had to be left out is told in a warning. Raises ``DataError`` where the source is not what the converter
    expects, or label maps are missing in a layout that promises them and not ``allow_missing``; ``WorkspaceError`` where
    the dataset exists and ``overwrite`` was not asked for.
    """
    workspace = Workspace.at(root)
    converter = CONVERTERS.get(kind)
    target = workspace.raw(dataset)
    options = ConvertOptions(
        overwrite=overwrite,
        workers=thread_count(workers),
        seed=seed,
        labels=labels,
        image_pattern=image_pattern,
        label_pattern=label_pattern,
        table=None if table is None else Path(table),
        patient_pattern=patient_pattern,
        allow_missing=allow_missing,
        patients=patients,
        test_patients=test_patients,
        frames=frames,
        preset=preset,
    )
    report = converter.convert(Path(source), target, options)
    _log.info("%s", report.to_text())
    if report.skipped:
        _log.warning("%s", _left_out(report))
    return report


def _left_out(report: ConversionReport) -> str:
    """Return one line that says how many cases were left out and names the first, with their reasons."""
    named = [f"{name} ({reason})" for name, reason in report.skipped[:_NAMED]]
    more = f" and {len(report.skipped) - _NAMED} more" if len(report.skipped) > _NAMED else ""
    total = len(report.skipped) + report.cases + report.test_cases
    return f"{len(report.skipped)} of {total} cases left out: {', '.join(named)}{more}."

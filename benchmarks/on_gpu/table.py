"""Means over folds with intervals by patient, beside what others have published."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autolv.core.errors import DataError
from autolv.evaluation.bootstrap import mean_interval

# Dice in percent, means over structures and five folds on ACDC, all of 3D networks: Isensee 2024 (nnU-Net Revisited) the
# first three, the readme of Primus the last
PUBLISHED = {"nnU-Net": 91.54, "nnU-Net ResEnc-M": 91.99, "MedNeXt": 92.65, "PrimusV3": 92.70}


def make_table(files: Sequence[Path], folds: int) -> str:
    """Return the table of the results in ``files``, of runs that have ``folds`` folds each."""
    rows = [row for file in files for row in _rows(file, folds)]
    if not rows:
        raise DataError("no fold is scored yet.", remedy="Train with the same --out until it says that all is done.")
    structures = list(rows[0]["dice"])
    head = ["configuration", "folds", "cases", *structures, "mean", "steps [min]", "scoring [min]", "device"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in rows:
        dice = [_with_interval(row["dice"][name], row["patients"]) for name in structures]
        together = np.stack([row["dice"][name] for name in structures], axis=1)
        minutes = [f"{row[key] / 60:.1f}" for key in ("train_seconds", "score_seconds")]
        cases = str(len(row["patients"]))
        mean = _with_interval(together, row["patients"])
        lines.append(_line([row["name"], row["folds"], cases, *dice, mean, *minutes, row["device"]]))
    for name, value in PUBLISHED.items():
        lines.append(_line([f"{name}, published, 3D", "5", "200", *[""] * len(structures), f"{value:.2f}", "", "", ""]))
    return "\n".join(lines)


def _rows(file: Path, folds: int) -> list[dict[str, Any]]:
    """Return the row of a configuration's results, none if no fold is scored."""
    results = json.loads(file.read_text(encoding="utf-8"))
    scored = {int(fold): known for fold, known in results["folds"].items() if "dice" in known}
    if not scored:
        return []
    cases = [row for known in scored.values() for row in known["dice"]]
    values = {
        name: np.array([math.nan if row["dice"][name] is None else row["dice"][name] for row in cases])
        for name in cases[0]["dice"]
    }
    missing = sorted(set(range(folds)) - set(scored))
    return [
        {
            "name": file.stem,
            "folds": str(folds) if not missing else f"{', '.join(map(str, sorted(scored)))} of {folds}",
            "patients": [row["patient"] for row in cases],
            "dice": values,
            "train_seconds": sum(known["train_seconds"] for known in scored.values()),
            "score_seconds": sum(known["score_seconds"] for known in scored.values()),
            "device": ", ".join(sorted({known["device"] for known in scored.values()})),
        }
    ]


def _with_interval(values: np.ndarray, patients: Sequence[str]) -> str:
    """Return mean and 95 % interval in percent; of several columns the mean of their means."""
    columns = values[:, None] if values.ndim == 1 else values
    low, high = mean_interval(values, patients)
    return f"{100 * np.nanmean(columns, axis=0).mean():.2f} ({100 * low:.2f} to {100 * high:.2f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""Pictures that need files: images, label maps and references put together for the eye."""

from __future__ import annotations

from pathlib import Path

from autolv.datasets.raw import load_dataset
from autolv.imageio.volumes import read_image, read_labels
from autolv.reporting.figures import overlay_figure
from autolv.schema.results import Evaluation


def prediction_figure(raw: Path, predictions: Path, evaluation: Evaluation, path: Path) -> None:
    """Draw the test case of median LV Dice: every slice with the predicted contours and the reference's."""
    dataset = load_dataset(raw)
    schema = dataset.schema_
    ranked = sorted(evaluation.cases, key=lambda case: case.structures[schema.structures[0]].dice)
    middle = ranked[len(ranked) // 2].case
    case = next(case for case in (*dataset.test, *dataset.training) if case.case == middle)
    image = read_image(raw / case.image)
    predicted = schema.to_internal(read_labels(predictions / f"{middle}{dataset.file_ending}").array)
    reference = schema.to_internal(read_labels(raw / str(case.label)).array)
    overlay_figure(image.array, predicted, reference, path, schema.structures)

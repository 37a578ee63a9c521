"""Recipe of ``autolv_predict``: frames or whole cines in, label maps on the input's own grid out."""

from __future__ import annotations

import io
import logging
import math
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import AutolvError, ModelError, PartialFailure
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.imageio.volumes import read_image, write_labels
from autolv.inference.predictor import Predictor
from autolv.parallel import Progress
from autolv.pipeline.inputs import Input, check_output, find_inputs
from autolv.pipeline.model import assemble_model
from autolv.schema.record import read_record, write_bytes, write_record
from autolv.schema.results import PredictionStatus, PredictionSummary

_log = logging.getLogger(__name__)


def predict(
    input: Path | str,  # noqa: A002 - the flag's name
    output: Path | str,
    *,
    dataset: str | None = None,
    model: Path | str | None = None,
    run: str = "default",
    root: Path | str = ".",
    device: str = "auto",
    workers: int | None = None,  # noqa: ARG001 - accepted like everywhere; files go one by one
    configuration: str | None = None,
    folds: tuple[int, ...] | None = None,
    save_probabilities: bool = False,
    mirror: str = "auto",
    postprocess: bool = True,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> tuple[PredictionStatus, ...]:
    """Segment an image, a cine, or a folder of them, and write label maps and ``summary.json`` to ``output``.

    The model is the folder ``model``, or the one that ``autolv_find_best_config`` wrote for ``dataset`` and ``run``; with
    ``configuration`` (and ``folds``) the trained folds of that configuration alone. A file that fails does not stop the
    others: ``PartialFailure`` is raised after the last.
    """
    source, target = Path(input), Path(output)
    inputs = find_inputs(source)
    check_output(source, target, inputs, overwrite=overwrite, skip_existing=skip_existing)
    predictor = _predictor(dataset, model, run, root, device, configuration, folds, mirror, postprocess=postprocess)
    schema = LabelSchema(predictor.best.labels)
    _log.info(
        "model: %s (%d networks), device %s", predictor.best.chosen, len(predictor.best.members), predictor.device
    )
    before = _earlier(target) if skip_existing else {}
    statuses = []
    progress = Progress("predict", len(inputs))
    for item in inputs:
        result_file = target / f"{item.stem}{item.ending}"
        if skip_existing and result_file.exists() and item.path.name in before:
            statuses.append(before[item.path.name])
        else:
            statuses.append(_one(predictor, schema, item, result_file, save_probabilities=save_probabilities))
        write_record(PredictionSummary(model=predictor.best.chosen, cases=tuple(statuses)), target / "summary.json")
        progress.advance()
    failed = [status for status in statuses if status.status == "failed"]
    for status in statuses:
        if status.status != "done":
            _log.warning("%s: %s %s", status.input, status.status, status.message)
    _log.info("%d of %d done: %s", len(statuses) - len(failed), len(statuses), target)
    if failed:
        raise PartialFailure(
            f"{len(failed)} of {len(statuses)} inputs failed: {', '.join(status.input for status in failed[:5])}.",
            remedy=f"See {target / 'summary.json'} for why.",
        )
    return tuple(statuses)


def _predictor(
    dataset: str | None,
    model: Path | str | None,
    run: str,
    root: Path | str,
    device: str,
    configuration: str | None,
    folds: tuple[int, ...] | None,
    mirror: str,
    *,
    postprocess: bool,
) -> Predictor:
    if model is not None:
        folder = Path(model)
    elif dataset is None:
        raise ModelError("neither a dataset nor a model folder was given.", remedy="Give -d DATASET or --model FOLDER.")
    else:
        workspace = Workspace.at(root)
        folder = workspace.model(dataset, run)
        if configuration is not None:
            folder = assemble_model(workspace, dataset, run, configuration, folds)
        elif not (folder / "best_config.json").exists():
            raise ModelError(
                f"{dataset} has no chosen model in the run {run!r} ({folder}).",
                remedy=f"Run: autolv_find_best_config -d {dataset}, or name a trained configuration with -c.",
            )
    return Predictor.load(folder, device=device, mirror=mirror, postprocess=postprocess)


def _one(
    predictor: Predictor, schema: LabelSchema, item: Input, result_file: Path, *, save_probabilities: bool
) -> PredictionStatus:
    """Predict one file; whatever goes wrong with it is told in its status."""
    begin = time.monotonic()
    try:
        volume = read_image(item.path)
        if not np.isfinite(volume.array).all():
            raise AutolvError("the image holds values that are not finite.", remedy="Replace them.")
        prediction = predictor.predict(volume, probabilities=save_probabilities)
        write_labels(result_file, schema.to_file(prediction.labels), like=item.path)
        if prediction.probabilities is not None:
            _write_npz(result_file.with_name(f"{item.stem}.npz"), prediction.probabilities, schema)
    except AutolvError as error:
        result_file.unlink(missing_ok=True)  # an older result must not pass for this one's
        return PredictionStatus(input=item.path.name, output=None, status="failed", message=str(error))
    frames = prediction.labels if prediction.labels.ndim == 4 else prediction.labels[None]
    voxel_ml = math.prod(volume.spacing_mm) / 1000.0
    volumes = {
        name: tuple(round(float((frame == channel).sum()) * voxel_ml, 3) for frame in frames)
        for channel, name in enumerate(schema.structures, start=1)
    }
    empty = not frames.any()
    return PredictionStatus(
        input=item.path.name,
        output=result_file.name,
        status="empty" if empty else "done",
        message="no structure was found: look at the image" if empty else "",
        frames=len(frames),
        seconds=round(time.monotonic() - begin, 3),
        volumes_ml=volumes,
    )


def _write_npz(path: Path, probabilities: NDArray[np.float16], schema: LabelSchema) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probabilities=probabilities, classes=np.array(["background", *schema.structures]))
    write_bytes(path, buffer.getvalue())


def _earlier(target: Path) -> dict[str, PredictionStatus]:
    path = target / "summary.json"
    if not path.exists():
        return {}
    return {status.input: status for status in read_record(PredictionSummary, path).cases if status.status != "failed"}

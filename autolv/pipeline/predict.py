"""Recipe of ``autolv_predict``: frames or whole cines in, label maps on the input's own grid out."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import AutolvError, ModelError, PartialFailure, SchemaError
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.imageio.volumes import read_image, write_labels
from autolv.inference.predictor import Predictor
from autolv.parallel import Progress
from autolv.pipeline.context import load_plan, open_dataset, pick_configuration
from autolv.pipeline.inputs import Input, check_output, find_inputs
from autolv.pipeline.model import assemble_model
from autolv.runtime.device import prepare, resolve_device
from autolv.runtime.memory import is_out_of_memory, release_cached
from autolv.schema.record import read_record, write_bytes, write_record
from autolv.schema.results import BestConfig, Member, PredictionStatus, PredictionSummary

_log = logging.getLogger(__name__)
_BY = "by the model "


def predict(
    input: Path | str,  # noqa: A002 - the flag's name
    output: Path | str,
    *,
    dataset: str | None = None,
    model: Path | str | None = None,
    run: str = "default",
    root: Path | str = ".",
    device: str = "auto",
    workers: int | None = None,
    configuration: str | None = None,
    folds: tuple[int, ...] | None = None,
    save_probabilities: bool = False,
    mirror: str = "auto",
    postprocess: bool = True,
    whole_field: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    report: bool = False,
) -> tuple[PredictionStatus, ...]:
    """Segment an image, a cine, or a folder of them, and write label maps and ``summary.json`` to ``output``.

    The model is the folder ``model``, or the one that ``autolv_find_best_config`` wrote for ``dataset`` and ``run``; with
    ``configuration`` (and ``folds``) the trained folds of that configuration alone, or those members of ``model``. Files
    go one by one, each with ``workers`` CPU threads (``None`` and 0: the cores granted). A file that fails does not stop
    the others: ``PartialFailure`` is raised after the last. The summary goes on from the one that stands in ``output``:
    an earlier result that is still there keeps its entry. With ``report`` the label maps in ``output`` are read out into
    ``output/report`` (see ``autolv.report``), in place of a report that is there. Returned is what became of these inputs.
    """
    source, target = Path(input), Path(output)
    inputs = find_inputs(source)
    check_output(source, target, inputs, overwrite=overwrite, skip_existing=skip_existing)
    earlier = _earlier(target, overwrite=overwrite)
    prepare(resolve_device(device), workers or None)
    folder = _model_folder(dataset, model, run, root, configuration, folds)
    predictor = Predictor.load(
        folder,
        device=device,
        configurations=None if configuration is None else (configuration,),
        folds=folds,
        mirror=mirror,
        postprocess=postprocess,
        whole_field=whole_field,
    )
    members = _members(folder, predictor.best, configuration, folds)
    name = _model_name(predictor.best, members)
    schema = LabelSchema(predictor.best.labels)
    _log.info("model: %s (%d networks), device %s", name, len(members), predictor.device)
    entries = {} if earlier is None else _kept(earlier, target, name)
    statuses = []
    progress = Progress("predict", len(inputs))
    for item in inputs:
        before = entries.get(item.result)
        if skip_existing and before is not None and before.input == item.path.name:
            status = before
        else:
            status = _one(predictor, schema, item, target / item.result, save_probabilities=save_probabilities)
        entries[item.result] = status
        statuses.append(status)
        write_record(
            PredictionSummary(
                model=name, cases=tuple(entries.values()), labels=dict(schema.codes),
                weights_sha256=tuple(member.sha256 for member in members),
            ),
            target / "summary.json",
        )  # fmt: skip
        progress.advance()
    if report:
        _report(statuses, source, target, dataset=dataset, root=root, workers=workers)
    _tell(statuses, target)
    return tuple(statuses)


def _report(
    statuses: Sequence[PredictionStatus], source: Path, target: Path, *, dataset: str | None, root: Path | str,
    workers: int | None,
) -> None:  # fmt: skip
    """Read out what was predicted; where that fails beside failures of predicting, these are told by who called."""
    from autolv.pipeline.report import report

    known = dataset is not None and Workspace.at(root).raw(dataset).is_dir()
    if all(status.output is None for status in statuses):
        return
    try:
        report(
            target, target / "report", dataset=dataset if known else None, root=root, images=source, overwrite=True,
            workers=workers,
        )  # fmt: skip
    except PartialFailure:
        if all(status.status != "failed" for status in statuses):
            raise


def _tell(statuses: Sequence[PredictionStatus], target: Path) -> None:
    """Log what is not as it should be and how many are done; failures are raised together."""
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


def _model_folder(
    dataset: str | None,
    model: Path | str | None,
    run: str,
    root: Path | str,
    configuration: str | None,
    folds: tuple[int, ...] | None,
) -> Path:
    """Return the model folder that is meant; one of a dataset needs neither its raw data nor its plan to be there."""
    if model is not None:
        if dataset is not None:
            raise ModelError("both a dataset and a model folder were given.", remedy="Give -d or --model, not both.")
        return Path(model)
    if dataset is None:
        raise ModelError("neither a dataset nor a model folder was given.", remedy="Give -d DATASET or --model FOLDER.")
    workspace = Workspace.at(root)
    chosen = workspace.model(dataset, run)
    if configuration is None and (chosen / "best_config.json").exists():
        return chosen
    if configuration is None or not workspace.configuration(dataset, run, configuration).is_dir():
        _check_names(workspace, dataset, configuration)
    if configuration is not None:
        return assemble_model(workspace, dataset, run, configuration, folds)
    named = "" if run == "default" else f" --run {run}"
    raise ModelError(
        f"{dataset} has no chosen model in the run {run!r} ({chosen}), and no trained configuration was named with -c.",
        remedy=f"Run: autolv_find_best_config -d {dataset}{named}",
    )


def _check_names(workspace: Workspace, dataset: str, configuration: str | None) -> None:
    """Refuse a dataset or a configuration that is not there, with the names that may have been meant."""
    if not workspace.raw(dataset).is_dir():
        open_dataset(workspace, dataset)
    if configuration is not None:
        pick_configuration(load_plan(workspace, dataset), configuration)


def _members(folder: Path, best: BestConfig, configuration: str | None, folds: tuple[int, ...] | None) -> list[Member]:
    """Return the members that are asked for; a fold that the model has not is a ``ModelError``."""
    members = [
        member
        for member in best.members
        if configuration in (None, member.configuration) and (folds is None or member.fold in folds)
    ]
    missing = sorted(set(folds or ()) - {member.fold for member in members})
    if missing:
        wanted = f"fold {missing[0]}" if configuration is None else f"{configuration} fold {missing[0]}"
        raise ModelError(f"{folder} has no {wanted}.", remedy=f"It has: {_listed(best.members)}.")
    return members


def _model_name(best: BestConfig, members: Sequence[Member]) -> str:
    """Return the name of the choice, or those of its members that are used where these are not all."""
    return best.chosen if len(members) == len(best.members) else f"{_listed(members)} (of {best.chosen})"


def _listed(members: Sequence[Member]) -> str:
    return ", ".join(f"{member.configuration} fold {member.fold}" for member in members)


def _one(
    predictor: Predictor, schema: LabelSchema, item: Input, result_file: Path, *, save_probabilities: bool
) -> PredictionStatus:
    """Predict one file; whatever goes wrong with it is told in its status and does not reach the others."""
    try:
        return _predicted(predictor, schema, item, result_file, save_probabilities=save_probabilities)
    except Exception as error:  # noqa: BLE001 - the last resort: also a fault of ours must not stop the others
        _log.debug("%s failed here:", item.path, exc_info=True)
        message, memory = _reason(error, predictor), is_out_of_memory(error)
    if memory:
        release_cached(predictor.device)  # outside the handler, whose traceback holds on to the activations
    result_file.unlink(missing_ok=True)  # an older result must not pass for this one's
    return PredictionStatus(input=item.path.name, output=None, status="failed", message=message)


def _reason(error: Exception, predictor: Predictor) -> str:
    """Return what went wrong in a sentence or two."""
    if isinstance(error, AutolvError):
        return str(error)
    if is_out_of_memory(error):
        elsewhere = "" if predictor.device.type == "cpu" else ", or compute with --device cpu"
        return f"it does not fit the memory of {predictor.device}. Close what else uses that memory{elsewhere}."
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _predicted(
    predictor: Predictor, schema: LabelSchema, item: Input, result_file: Path, *, save_probabilities: bool
) -> PredictionStatus:
    """Predict one file, write its labels (and probabilities), and return what became of it."""
    begin = time.monotonic()
    volume = read_image(item.path)
    if not np.isfinite(volume.array).all():
        raise AutolvError("the image holds values that are not finite.", remedy="Replace them.")
    prediction = predictor.predict(volume, probabilities=save_probabilities)
    write_labels(result_file, schema.to_file(prediction.labels), like=item.path)
    if prediction.probabilities is not None:
        _write_npz(result_file.with_name(f"{item.stem}.npz"), prediction.probabilities, schema)
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


def _earlier(target: Path, *, overwrite: bool) -> PredictionSummary | None:
    """Return the summary that stands in ``target``; a file of that name which is none is replaced only if asked."""
    path = target / "summary.json"
    if not path.exists():
        return None
    try:
        return read_record(PredictionSummary, path)
    except SchemaError as error:
        if overwrite:
            return None
        raise SchemaError(
            f"{target} holds a summary.json that autolv_predict did not write ({error.message.rstrip('.')}).",
            remedy="Name another folder with -o, or replace it with --overwrite.",
        ) from error


def _kept(earlier: PredictionSummary, target: Path, model: str) -> dict[str, PredictionStatus]:
    """Return, by the names of their files, the earlier results that are still there; another model's say by which."""
    kept = {}
    for status in earlier.cases:
        if status.output is None or not (target / status.output).exists():
            continue
        foreign = earlier.model != model and _BY not in status.message
        message = f"{status.message} ({_BY}{earlier.model})".strip() if foreign else status.message
        kept[status.output] = status.model_copy(update={"message": message})
    return kept

"""Recipe of ``autolv_predict``: frames or whole cines in, label maps on the input's own grid out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from autolv.core.errors import DataError, ModelError, PartialFailure, SchemaError
from autolv.core.workspace import Workspace
from autolv.datasets._names import patient_of
from autolv.inference.predictor import Predictor
from autolv.parallel import Progress
from autolv.pipeline.finished import BY, Making, standing, sweep
from autolv.pipeline.inputs import Input, check_output, find_inputs, shard_of
from autolv.pipeline.interrupt import stop_signals
from autolv.pipeline.predict_model import ChosenModel, choose_model, model_folder
from autolv.pipeline.report_options import ReportOptions
from autolv.pipeline.stream import predict_each
from autolv.runtime.device import prepare, resolve_device
from autolv.schema.levels import QualityLevel
from autolv.schema.prediction import PredictionOptions
from autolv.schema.record import read_record, write_record
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
    workers: int | None = None,
    configuration: str | None = None,
    folds: tuple[int, ...] | None = None,
    save_probabilities: bool = False,
    mirror: str = "auto",
    quality: QualityLevel | None = None,
    postprocess: bool = True,
    whole_field: bool = False,
    frames: Sequence[int] | None = None,
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    report: bool | ReportOptions = False,
) -> tuple[PredictionStatus, ...]:
    """Segment images and cines, and write label maps and ``summary.json`` to ``output``.

    ``input`` is an image, a folder or tree of them, a pattern, or a table (``pipeline.inputs``). The model is the folder
    ``model``, or the one that ``autolv_find_best_config`` wrote for ``dataset`` and ``run``; with ``configuration`` (and
    ``folds``) the trained folds of that configuration alone, or those members of ``model``; ``quality`` names a level of
    the model in place of these and ``mirror``. ``frames`` are those of each cine, from 1; ``shard`` (i, n) takes the i-th of
    n parts of the inputs. Files go one by one, each with ``workers`` CPU threads (``None`` and 0: the cores granted), while
    the next is read and the last is written.

    What the same call has made already is not made again. Other results that are there are refused by a
    ``WorkspaceError``, but for ``overwrite`` (make all anew) and ``skip_existing`` (keep what is there). A file that fails
    does not stop the others: ``PartialFailure`` is raised after the last. The summary goes on from the one that stands in
    ``output``: an earlier result that is still there keeps its entry. With ``report``, ``True`` or the options of one, the
    label maps in ``output`` are read out into ``output/report`` (see ``autolv.report``), in place of a report that is there.
    Returned is what became of these inputs.
    """
    wanted = ReportOptions() if report is True else report or None
    _refuse_contradictions(
        quality_beside_others=quality is not None
        and (configuration is not None or folds is not None or mirror != "auto"),
        report_of_a_part=wanted is not None and shard is not None,
    )
    if wanted is not None:
        wanted.check_places()  # now, not after the work
    source, target = Path(input), Path(output)
    everything = find_inputs(source, target)
    check_output(source, target, everything)
    if wanted is not None:
        wanted.check_phases(source, len({patient_of(item.stem) for item in everything}))
    inputs = shard_of(everything, shard)
    summary = target / ("summary.json" if shard is None else f"summary_{shard[0]}_of_{shard[1]}.json")
    earlier = _earlier(summary, overwrite=overwrite)
    threads = prepare(resolve_device(device), workers or None)
    folder = model_folder(dataset, model, run, root, configuration, folds)
    chosen = choose_model(folder, configuration=configuration, folds=folds, mirror=mirror, quality=quality)
    options = PredictionOptions(
        members=chosen.networks,
        mirror=chosen.mirror,
        postprocess=postprocess,
        whole_field=whole_field,
        save_probabilities=save_probabilities,
        frame_numbers=_frame_numbers(frames),
    )
    making = Making(target=target, model=chosen.name, model_hash=chosen.best.content_hash(), options=options)
    statuses = standing(making, inputs, overwrite=overwrite, skip_existing=skip_existing, workers=threads)
    todo = [item for item in inputs if item.result not in statuses]
    networks = len(chosen.members)
    _log.info("model: %s (%d networks); %d of %d inputs to predict", making.model, networks, len(todo), len(inputs))
    if todo:
        predictor = _loaded(chosen, options, device)
        sweep(making, todo)
    try:
        if todo:
            _predict_todo(predictor, making, todo, statuses)
    finally:
        entries = {} if earlier is None else _kept(earlier, target, making.model)
        entries |= {item.result: statuses[item.result] for item in inputs if item.result in statuses}
        _write_summary(summary, chosen, tuple(entries.values()))
    ordered = tuple(statuses[item.result] for item in inputs)
    if wanted is not None:
        _report(ordered, source, target, wanted, dataset=dataset, root=root, workers=workers)
    _tell(ordered, target, summary)
    return ordered


def _refuse_contradictions(*, quality_beside_others: bool, report_of_a_part: bool) -> None:
    if quality_beside_others:
        raise ModelError("--quality says itself which networks predict.", remedy="Leave -c, -f and --mirror out.")
    if report_of_a_part:
        raise DataError(
            "a part of the inputs cannot be reported.",
            remedy="Predict all parts, then run autolv_report on the output.",
        )


def _report(
    statuses: Sequence[PredictionStatus], source: Path, target: Path, options: ReportOptions, *, dataset: str | None,
    root: Path | str, workers: int | None,
) -> None:  # fmt: skip
    """Read out what was predicted; where that fails beside failures of predicting, these are told by who called."""
    from autolv.pipeline.report import report

    known = dataset is not None and Workspace.at(root).raw(dataset).is_dir()
    if all(status.output is None for status in statuses):
        return
    try:
        report(
            target, target / "report", dataset=dataset if known else None, root=root,
            images=source, options=options, overwrite=True, workers=workers,
        )  # fmt: skip
    except PartialFailure:
        if all(status.status != "failed" for status in statuses):
            raise


def _loaded(chosen: ChosenModel, options: PredictionOptions, device: str) -> Predictor:
    """Return the predictor of the networks that are chosen, in the way that the options say."""
    predictor = Predictor.load(
        chosen.folder,
        device=device,
        configurations=None if chosen.configuration is None else (chosen.configuration,),
        folds=chosen.folds,
        mirror=options.mirror,
        postprocess=options.postprocess,
        whole_field=options.whole_field,
    )
    _log.info("device: %s", predictor.device)
    if predictor.quality_reason:
        _log.info("the quality of predictions is not predicted: %s", predictor.quality_reason)
    return predictor


def _predict_todo(
    predictor: Predictor, making: Making, todo: Sequence[Input], statuses: dict[str, PredictionStatus]
) -> None:
    """Predict what is to be predicted, and add to ``statuses`` what became of it, as it comes."""
    progress = Progress("predict", len(todo))

    def done(item: Input, status: PredictionStatus) -> None:
        statuses[item.result] = status
        progress.advance()

    with stop_signals() as asked_to_stop:
        predict_each(predictor, making, todo, done=done, asked_to_stop=asked_to_stop)


def _frame_numbers(frames: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the frames that are asked for, each once and in their order."""
    if frames is None:
        return None
    numbers = tuple(sorted({int(number) for number in frames}))
    if not numbers or numbers[0] < 1:
        raise DataError(f"frames are numbered from 1, got {list(frames)}.", remedy="Give --frames 1,12 or 1-10.")
    return numbers


def _tell(statuses: Sequence[PredictionStatus], target: Path, summary: Path) -> None:
    """Log what is not as it should be and how many are done; failures are raised together."""
    failed = [status for status in statuses if status.status == "failed"]
    for status in statuses:
        if status.status != "done":
            _log.warning("%s: %s %s", status.input, status.status, status.message)
    _log.info("%d of %d done: %s", len(statuses) - len(failed), len(statuses), target)
    if failed:
        raise PartialFailure(
            f"{len(failed)} of {len(statuses)} inputs failed: {', '.join(status.input for status in failed[:5])}.",
            remedy=f"See {summary} for why.",
        )


def _earlier(path: Path, *, overwrite: bool) -> PredictionSummary | None:
    """Return the summary that stands at ``path``; a file of that name which is none is replaced only if asked."""
    if not path.exists():
        return None
    try:
        return read_record(PredictionSummary, path)
    except SchemaError as error:
        if overwrite:
            return None
        raise SchemaError(
            f"{path.parent} holds a {path.name} that autolv_predict did not write ({error.message.rstrip('.')}).",
            remedy="Name another folder with -o, or replace it with --overwrite.",
        ) from error


def _write_summary(path: Path, chosen: ChosenModel, entries: tuple[PredictionStatus, ...]) -> None:
    """Write what became of all inputs, unless there is nothing to tell."""
    if entries:
        weights = tuple(member.sha256 for member in chosen.members)
        write_record(
            PredictionSummary(
                model=chosen.name, cases=entries, labels=dict(chosen.best.labels), weights_sha256=weights
            ),
            path,
        )


def _kept(earlier: PredictionSummary, target: Path, model: str) -> dict[str, PredictionStatus]:
    """Return, by the names of their files, the earlier results that are still there; another model's say by which."""
    kept = {}
    for status in earlier.cases:
        if status.output is None or not (target / status.output).exists():
            continue
        foreign = earlier.model != model and BY not in status.message
        message = f"{status.message} ({BY}{earlier.model})".strip() if foreign else status.message
        kept[status.output] = status.model_copy(update={"message": message})
    return kept

"""Recipe of ``autolv_predict``: frames or whole cines in, label maps on the input's own grid out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from autolv.core.errors import DataError, ModelError, PartialFailure, SchemaError
from autolv.core.workspace import Workspace
from autolv.inference.model_folder import read_model
from autolv.inference.predictor import Predictor
from autolv.parallel import Progress
from autolv.pipeline.context import load_plan, open_dataset, pick_configuration
from autolv.pipeline.finished import BY, Making, standing, sweep
from autolv.pipeline.inputs import Input, check_output, find_inputs, shard_of
from autolv.pipeline.interrupt import stop_signals
from autolv.pipeline.model import assemble_model
from autolv.pipeline.qualities import quality_of
from autolv.pipeline.stream import predict_each
from autolv.runtime.device import prepare, resolve_device
from autolv.schema.levels import QualityLevel
from autolv.schema.prediction import PredictionOptions
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig, Member, PredictionStatus, PredictionSummary

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
    report: bool = False,
) -> tuple[PredictionStatus, ...]:
    """Segment images and cines, and write label maps and ``summary.json`` to ``output``.

    ``input`` is an image, a folder or tree of them, a pattern, or a table (``pipeline.inputs``). The model is the folder
    ``model``, or the one that ``autolv_find_best_config`` wrote for ``dataset`` and ``run``; with ``configuration`` (and
    ``folds``) the trained folds of that configuration alone, or those members of ``model``; ``quality`` names a level of
    the model in place of these and ``mirror``. ``frames`` are those of each
    cine, from 1; ``shard`` (i, n) takes the i-th of n parts of the inputs. Files go one by one, each with ``workers`` CPU
    threads (``None`` and 0: the cores granted), while the next is read and the last is written.

    What the same call has made already is not made again. Other results that are there are refused by a
    ``WorkspaceError``, but for ``overwrite`` (make all anew) and ``skip_existing`` (keep what is there). A file that fails
    does not stop the others: ``PartialFailure`` is raised after the last. The summary goes on from the one that stands in
    ``output``: an earlier result that is still there keeps its entry. With ``report`` the label maps in ``output`` are read out
    into ``output/report`` (see ``autolv.report``), in place of a report that is there. Returned is what became of these
    inputs.
    """
    _refuse_contradictions(
        quality_beside_others=quality is not None
        and (configuration is not None or folds is not None or mirror != "auto"),
        report_of_a_part=report and shard is not None,
    )
    source, target = Path(input), Path(output)
    everything = find_inputs(source, target)
    check_output(source, target, everything)
    inputs = shard_of(everything, shard)
    summary = target / ("summary.json" if shard is None else f"summary_{shard[0]}_of_{shard[1]}.json")
    earlier = _earlier(summary, overwrite=overwrite)
    threads = prepare(resolve_device(device), workers or None)
    folder = _model_folder(dataset, model, run, root, configuration, folds)
    best = read_model(folder)
    if quality is not None:
        level = quality_of(best, quality)
        configuration, folds = (level.configurations or (None,))[0], level.folds or None
        mirror = "on" if level.mirror else "auto"
    members = _members(folder, best, configuration, folds)
    options = PredictionOptions(
        members=tuple(f"{member.configuration} fold {member.fold}" for member in members),
        mirror=mirror,
        postprocess=postprocess,
        whole_field=whole_field,
        save_probabilities=save_probabilities,
        frame_numbers=_frame_numbers(frames),
    )
    making = Making(target=target, model=_model_name(best, members), model_hash=best.content_hash(), options=options)
    statuses = standing(making, inputs, overwrite=overwrite, skip_existing=skip_existing, workers=threads)
    todo = [item for item in inputs if item.result not in statuses]
    _log.info("model: %s (%d networks); %d of %d inputs to predict", making.model, len(members), len(todo), len(inputs))
    if todo:
        predictor = Predictor.load(
            folder,
            device=device,
            configurations=None if configuration is None else (configuration,),
            folds=folds,
            mirror=mirror,
            postprocess=postprocess,
            whole_field=whole_field,
        )
        _log.info("device: %s", predictor.device)
        sweep(making, todo)
    try:
        if todo:
            _predict_todo(predictor, making, todo, statuses)
    finally:
        entries = {} if earlier is None else _kept(earlier, target, making.model)
        entries |= {item.result: statuses[item.result] for item in inputs if item.result in statuses}
        if entries:
            write_record(
                PredictionSummary(
                    model=making.model, cases=tuple(entries.values()), labels=dict(best.labels),
                    weights_sha256=tuple(member.sha256 for member in members),
                ),
                summary,
            )  # fmt: skip
    ordered = tuple(statuses[item.result] for item in inputs)
    if report:
        _report(ordered, source, target, dataset=dataset, root=root, workers=workers)
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
            target, target / "report", dataset=dataset if known else None, root=root,
            images=source if source.exists() and source.suffix != ".csv" else None, overwrite=True, workers=workers,
        )  # fmt: skip
    except PartialFailure:
        if all(status.status != "failed" for status in statuses):
            raise


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

"""What of a batch is done already: by the same model, from the same image, with the same options, and unchanged since."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolv import __version__
from autolv.core.errors import AutolvError, SchemaError, WorkspaceError
from autolv.imageio.volumes import data_files, file_hash
from autolv.parallel import run_each
from autolv.pipeline.inputs import Input
from autolv.schema.prediction import PredictedCase, PredictionOptions
from autolv.schema.record import read_record, write_record
from autolv.schema.results import PredictionStatus

_log = logging.getLogger(__name__)
_NAMED = 5  # of the results that are in the way
BY = "by the model "


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How the results of one command are made, and where they go: what all of its inputs have in common."""

    target: Path
    model: str
    model_hash: str
    options: PredictionOptions

    def result(self, item: Input) -> Path:
        """Where the label map of an input goes."""
        return self.target / item.result

    def probabilities(self, item: Input) -> Path:
        """Where its probabilities go."""
        return self.target / f"{item.stem}.npz"

    def record_file(self, item: Input) -> Path:
        """Where it is told of what its result was made."""
        return self.target / "records" / f"{item.stem}.json"

    def record(self, item: Input, *, input_sha256: str, output_sha256: str, status: PredictionStatus) -> None:
        """Write of what a result was made."""
        record = PredictedCase(
            autolv=__version__,
            model=self.model,
            model_hash=self.model_hash,
            options=self.options,
            input_sha256=input_sha256,
            output_sha256=output_sha256,
            status=status,
        )
        write_record(record, self.record_file(item))


def standing(
    making: Making, inputs: Sequence[Input], *, overwrite: bool, skip_existing: bool, workers: int
) -> dict[str, PredictionStatus]:
    """Return, by the paths of their results, what became of those inputs that need not be predicted again.

    These are the ones whose result is just what this command would give. Results that are there and are anything else are
    kept too with ``skip_existing``; without that and ``overwrite``, which keeps none, a ``WorkspaceError`` names them.
    """
    if overwrite:
        return {}
    there = [item for item in inputs if making.result(item).exists()]
    records = {item.result: _record(making.record_file(item)) for item in there}
    if skip_existing:
        return {item.result: _as_found(making, item, records[item.result]) for item in there}
    why = run_each(
        lambda item: _difference(making, item, records[item.result]),
        there,
        name=lambda item: item.name,
        label="look at what is there",
        workers=workers,
    )
    foreign = [f"{item.result} ({reason})" for item, reason in zip(there, why, strict=True) if reason]
    if foreign:
        more = "" if len(foreign) <= _NAMED else f" and {len(foreign) - _NAMED} more"
        raise WorkspaceError(
            f"{making.target} holds {len(foreign)} results already that this command did not make: "
            f"{', '.join(foreign[:_NAMED])}{more}.",
            remedy="Replace them with --overwrite, keep them with --skip-existing, or name another folder with -o.",
        )
    if there:
        _log.info("%d of %d are done already", len(there), len(inputs))
    return {
        item.result: record.status.model_copy(update={"input": item.name})
        for item in there
        if (record := records[item.result]) is not None
    }


def sweep(making: Making, inputs: Sequence[Input]) -> None:
    """Remove what a command that was killed has left half-written beside the results of these inputs."""
    names: dict[Path, set[str]] = {}
    for item in inputs:
        files = (making.result(item), making.probabilities(item), making.record_file(item))
        for file in files:
            names.setdefault(file.parent, set()).add(file.name)
    for folder, known in names.items():
        for left in folder.glob(".*.tmp") if folder.is_dir() else ():
            if left.name[1:].rsplit(".", 2)[0] in known:  # .NAME.PROCESS.tmp
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def forget(making: Making, item: Input) -> None:
    """Remove an older result, and what is told of it: it must not pass for the one that is made now."""
    for file in (making.record_file(item), making.probabilities(item)):
        file.unlink(missing_ok=True)
    result = making.result(item)
    if result.is_file():
        for part in data_files(result):
            part.unlink(missing_ok=True)


def _record(path: Path) -> PredictedCase | None:
    try:
        return read_record(PredictedCase, path) if path.exists() else None
    except SchemaError as error:
        _log.warning("%s", error.message)
        return None


def _difference(making: Making, item: Input, record: PredictedCase | None) -> str:
    """Return in what a result is another than this command would give; empty where it is the same."""
    if record is None:
        return "it is not known how it was made"
    if record.model_hash != making.model_hash:
        return f"{BY}{record.model}" if record.model != making.model else f"by another {record.model}"
    if record.autolv != __version__:
        return f"by autolv {record.autolv}"
    if record.options != making.options:
        return f"with other {_options_that_differ(record.options, making.options)}"
    if making.options.save_probabilities and not making.probabilities(item).exists():
        return "its probabilities are missing"
    return _content_differs(making.result(item), item.path, record)


def _content_differs(result: Path, image: Path, record: PredictedCase) -> str:
    try:
        if file_hash(result) != record.output_sha256:
            return "it was changed since"
        return "of another image" if file_hash(image) != record.input_sha256 else ""
    except AutolvError as error:
        return error.message


def _options_that_differ(one: PredictionOptions, other: PredictionOptions) -> str:
    names = [name for name in PredictionOptions.model_fields if getattr(one, name) != getattr(other, name)]
    return " and ".join(name.replace("_", " ") for name in names)


def _as_found(making: Making, item: Input, record: PredictedCase | None) -> PredictionStatus:
    """Return the status of a result that is kept whatever it is; another model's says by which."""
    if record is None:
        return PredictionStatus(
            input=item.name, output=item.result, status="kept", message="it was there; how it was made is not known"
        )
    status = record.status.model_copy(update={"input": item.name})
    if record.model_hash == making.model_hash:
        return status
    message = f"{status.message} ({BY}{record.model})".strip()
    return status.model_copy(update={"message": message})

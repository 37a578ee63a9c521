"""What a workspace remembers of trials, by machine and network: small files, of which any that does not fit is ignored."""

from __future__ import annotations

import logging
from pathlib import Path

from autolv.core.errors import SchemaError
from autolv.schema.record import read_record, write_record
from autolv.schema.steps import RememberedTrial, TrialSetting

_log = logging.getLogger(__name__)


def recall(folder: Path | None, setting: TrialSetting) -> RememberedTrial | None:
    """Return the trial remembered in ``folder`` for ``setting``, ``None`` where there is none that can be used."""
    if folder is None:
        return None
    trial = _read(_file(folder, setting))
    return trial if trial is not None and trial.setting == setting else None


def keep(folder: Path | None, trial: RememberedTrial) -> None:
    """Remember a trial in ``folder`` in place of an earlier one of its setting; where that cannot be, training goes on."""
    if folder is None:
        return
    try:
        write_record(trial, _file(folder, trial.setting))
    except OSError as error:
        _log.debug("the trial of %s cannot be remembered in %s: %s", trial.way.name, folder, error)


def remembered(folder: Path) -> list[RememberedTrial]:
    """Return all trials remembered in ``folder`` that can be read."""
    trials = [_read(path) for path in sorted(folder.glob("[!.]*.json"))]
    return [trial for trial in trials if trial is not None]


def _file(folder: Path, setting: TrialSetting) -> Path:
    return folder / f"{setting.content_hash()}.json"


def _read(path: Path) -> RememberedTrial | None:
    if not path.exists():
        return None
    try:
        trial = read_record(RememberedTrial, path)
    except SchemaError as error:
        _log.debug("ignored: %s", error)
        return None
    if trial.way.name not in trial.seconds:
        _log.debug("ignored: %s lacks the time of the way that it names", path)
        return None
    return trial

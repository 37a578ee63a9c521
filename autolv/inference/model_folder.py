"""The self-contained model folder: ``best_config.json`` and, beside it, the weights it names with their SHA-256.

Nothing in it is executed on loading: the record is JSON, the weights are safetensors. Nothing outside it is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from autolv.core.errors import ModelError, SchemaError
from autolv.schema.record import read_record, write_bytes, write_record
from autolv.schema.results import BestConfig, Member

if TYPE_CHECKING:
    import torch

RECORD = "best_config.json"
_REMEDY = "Run autolv_find_best_config again, or copy the whole model folder again."


def describe_member(configuration: str, fold: int, weights: Path) -> Member:
    """Return the member that the file ``weights`` will be in a model folder, with the file's SHA-256."""
    name = f"weights/{configuration}_fold{fold}.safetensors"
    return Member(configuration=configuration, fold=fold, weights=name, sha256=_sha256(_read(weights)))


def write_model(folder: Path, best: BestConfig, weight_files: Sequence[Path]) -> None:
    """Write a model folder, whole or not at all; a model that stands there is replaced.

    ``weight_files`` are the weights of ``best.members``, in their order. Raises ``ModelError`` if a file is missing or
    is not the one whose SHA-256 its member has, or if ``folder`` holds something that is not a model.
    """
    if len(weight_files) != len(best.members):
        raise ValueError(f"{len(best.members)} members need as many files, got {len(weight_files)}")
    if folder.exists() and not (folder / RECORD).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there and is not a model folder.", remedy="Move it away, or name another --run.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for member, file in zip(best.members, weight_files, strict=True):
            data = _read(file)
            _refuse_tampered(data, member, file)
            write_bytes(_inside(fresh, member), data)
        write_record(best, fresh / RECORD)  # last: it says that the weights are whole
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def read_model(folder: Path) -> BestConfig:
    """Return the record of a model folder, checked in itself; raises ``ModelError`` naming the folder."""
    path = folder / RECORD
    if not path.is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no {RECORD}.",
            remedy="Name the folder that autolv_find_best_config wrote.",
        )
    try:
        best = read_record(BestConfig, path)
    except SchemaError as error:
        raise ModelError(error.message, remedy=_REMEDY) from error
    if not best.members:
        raise ModelError(f"{path} names no network.", remedy=_REMEDY)
    for member in best.members:
        configuration = best.configurations.get(member.configuration)
        if configuration is None:
            raise ModelError(
                f"{path}: fold {member.fold} is of {member.configuration!r}, which is not described there.",
                remedy=_REMEDY,
            )
        if configuration.network.classes != len(best.structures) + 1:
            raise ModelError(
                f"{path}: {member.configuration} has {configuration.network.classes} classes, "
                f"expected background and {len(best.structures)} structures.",
                remedy=_REMEDY,
            )
    return best


def load_network(folder: Path, best: BestConfig, member: Member) -> torch.nn.Module:
    """Return a member's network on the CPU, in evaluation mode.

    Raises ``ModelError`` if the weights are missing, lie outside the folder, are not those that were written, or do not
    fit the network.
    """
    import torch  # here, since choosing a model and reading its record need none of it
    from safetensors import SafetensorError
    from safetensors.torch import load

    from autolv.networks import build_network

    path = _inside(folder, member)
    data = _read(path)
    _refuse_tampered(data, member, path)
    try:
        with torch.random.fork_rng(devices=[]):  # building draws weights: the caller's generator stays as it was
            network = build_network(best.configurations[member.configuration].network)
        network.load_state_dict(load(data))
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{path} does not fit the network {member.configuration} ({str(error).splitlines()[0]}).", remedy=_REMEDY
        ) from error
    return network.eval()


def _inside(folder: Path, member: Member) -> Path:
    """Return where a member's weights lie; a path that leads out of the folder is a ``ModelError``."""
    name = member.weights
    parts = PurePosixPath(name).parts
    drive = PureWindowsPath(name).drive
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or drive:
        raise ModelError(f"the weights {name!r} of {folder} lie outside it.", remedy=_REMEDY)
    path = folder.joinpath(*parts)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"the weights {name!r} of {folder} lead out of it.", remedy=_REMEDY)
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the weights {path} ({error.strerror}).", remedy=_REMEDY) from error


def _refuse_tampered(data: bytes, member: Member, path: Path) -> None:
    found = _sha256(data)
    if found != member.sha256:
        raise ModelError(
            f"{path} was changed: its SHA-256 begins {found[:12]}, expected {member.sha256[:12]}.", remedy=_REMEDY
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

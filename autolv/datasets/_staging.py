"""How a converter writes: into a hidden folder beside the target that takes the target's name when all is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autolv.core.errors import DataError, WorkspaceError
from autolv.imageio.volumes import read_geometry, read_image, read_labels, split_ending, write_image, write_labels

ENDING = ".nii.gz"  # of all images and labels that converters write


@contextmanager
def staged_folder(target: Path, *, overwrite: bool, source: Path | None = None) -> Iterator[Path]:
    """Give an empty folder to write into; on leaving it becomes ``target``, on an error it vanishes.

    Raises ``WorkspaceError`` where ``target`` holds something and ``overwrite`` is not set, or where replacing it would
    destroy ``source``.
    """
    refuse_filled(target, overwrite=overwrite)
    if source is not None and source.exists() and source.resolve().is_relative_to(target.resolve()):
        raise WorkspaceError(
            f"the source {source} lies in {target}, which would be replaced.",
            remedy="Choose another name with -d, or move the source elsewhere.",
        )
    staging, old = target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.old")
    _remove(staging)
    staging.mkdir(parents=True)
    try:
        yield staging
        _remove(old)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        _remove(old)
    finally:
        _remove(staging)


def refuse_filled(target: Path, *, overwrite: bool) -> None:
    """Raise ``WorkspaceError`` where ``target`` holds something and ``overwrite`` is not set."""
    filled = target.exists() and (not target.is_dir() or any(target.iterdir()))
    if filled and not overwrite:
        raise WorkspaceError(
            f"{target} exists already.", remedy="Choose another name with -d, or replace it with --overwrite."
        )


def place_image(source: Path, target: Path, *, frame: int | None = None) -> None:
    """Put the image ``source`` (3D), or frame ``frame`` (0-based) of the cine ``source``, at ``target`` (``.nii.gz``).

    A 3D ``.nii.gz`` is copied byte for byte, any other file is rewritten as float32. Raises ``DataError`` where the file
    cannot be read or has no such frame.
    """
    _, frames = read_geometry(source)
    if frames == 1 and frame in (None, 0):
        if split_ending(source.name)[1] == ENDING:
            shutil.copyfile(source, target)
        else:
            write_image(target, read_image(source))
        return
    if frame is None:
        raise DataError(f"{source} is a cine of {frames} frames where one frame was expected.")
    if not 0 <= frame < frames:
        raise DataError(f"{source} has {frames} frames; frame {frame + 1} was asked for.")
    write_image(target, read_image(source).frame(frame))


def place_label(source: Path, target: Path, *, frame: int | None = None) -> None:
    """Put the label map ``source``, or its frame ``frame`` (0-based), at ``target`` (``.nii.gz``), codes unchanged."""
    _, frames = read_geometry(source)
    if frames == 1 and frame in (None, 0):
        if split_ending(source.name)[1] == ENDING:
            shutil.copyfile(source, target)
        else:
            write_labels(target, read_labels(source).array, like=source)
        return
    if frame is None:
        raise DataError(f"{source} has {frames} frames where one was expected.")
    write_labels(target, read_labels(source).array[frame], like=source)


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():  # of a link only the link goes
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)

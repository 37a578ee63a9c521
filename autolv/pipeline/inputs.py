"""Which files a prediction is for, and what their results are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autolv.core.errors import DataError, WorkspaceError
from autolv.imageio.volumes import ENDINGS, split_ending

_CHANNEL = "_0000"


@dataclass(frozen=True, slots=True)
class Input:
    """One image file and the stem of its results: the file's name less its ending and a channel suffix."""

    path: Path
    stem: str
    ending: str

    @property
    def result(self) -> str:
        """The name of its label map."""
        return f"{self.stem}{self.ending}"


def find_inputs(source: Path) -> list[Input]:
    """Return the image at ``source``, or all images in the folder ``source`` (not below it), sorted by name.

    Raises ``DataError`` when there is none, or when two would have the same result.
    """
    if source.is_file():
        paths = [source]
    elif source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.is_file() and p.name.lower().endswith(ENDINGS))
    else:
        raise DataError(f"{source} does not exist.", remedy="Name an image or a folder of images with -i.")
    if not paths:
        found = ", ".join(sorted(p.name for p in source.iterdir())[:3]) or "nothing"
        raise DataError(
            f"{source} holds no image ({', '.join(ENDINGS)}); it holds {found}.",
            remedy="Name a folder of short-axis images with -i.",
        )
    inputs = []
    for path in paths:
        stem, ending = split_ending(path.name)
        if not ending:
            raise DataError(f"{path} is not an image that can be read.", remedy=f"Give one of {', '.join(ENDINGS)}.")
        inputs.append(Input(path, stem.removesuffix(_CHANNEL), ending))
    stems = [item.stem for item in inputs]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(f"two inputs would both be written as {twice[0]!r}.", remedy="Rename one of them.")
    return inputs


def check_output(source: Path, output: Path, inputs: list[Input], *, overwrite: bool, skip_existing: bool) -> None:
    """Refuse an output folder that is the input's, or that holds results which nobody asked to replace."""
    folder = source if source.is_dir() else source.parent
    if output.resolve() == folder.resolve():
        raise WorkspaceError(f"output and input are the same folder: {output}.", remedy="Name another with -o.")
    if output.exists() and not output.is_dir():
        raise WorkspaceError(f"{output} is a file.", remedy="Name a folder with -o.")
    if overwrite or skip_existing:
        return
    there = [item.stem for item in inputs if (output / item.result).exists()]
    if there:
        raise WorkspaceError(
            f"{output} holds {len(there)} of these results already, {there[0]!r} for one.",
            remedy="Replace them with --overwrite, keep them with --skip-existing, or name another folder with -o.",
        )

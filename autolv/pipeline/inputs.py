"""Which files a prediction is for, and what their results are called."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autolv.core.errors import DataError, WorkspaceError
from autolv.imageio.volumes import ENDINGS, split_ending

_CHANNEL = "_0000"
_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Input:
    """One image file. ``name`` is what it is called in messages, from the folder that is common to all.

    ``stem`` is the path of its results below the output, less their ending: folders as those of the input, the file's
    name less its ending and a channel suffix.
    """

    path: Path
    name: str
    stem: str
    ending: str

    @property
    def result(self) -> str:
        """The path of its label map below the output."""
        return f"{self.stem}{self.ending}"


def find_inputs(source: Path, output: Path | None = None) -> list[Input]:
    """Return the images that ``source`` means, sorted by the paths of their results.

    That is an image; a folder (its images, or, if it has none, those anywhere below it); a pattern with ``*``, ``?`` or
    ``**``; or a table (.csv) with a column ``image`` and, if wished, ``output`` or ``case``. Results of a tree or a pattern
    lie in folders like those below the common one. What lies in an ``output`` below that folder is left out, and so is
    what is hidden. Raises ``DataError`` when there is no image, or when two would have the same result.
    """
    if source.suffix.lower() == ".csv" and source.is_file():
        inputs = _of_table(source)
    else:
        base, paths = _of_files(source, output)
        inputs = [_input(path, path.relative_to(base).as_posix()) for path in paths]
    if not inputs:
        raise DataError(f"{source} names no image.", remedy="Fill the column image.")
    inputs.sort(key=lambda item: (item.stem, item.ending))
    twice = sorted(stem for stem, count in Counter(item.stem for item in inputs).items() if count > 1)
    if twice:
        both = " and ".join(item.name for item in inputs if item.stem == twice[0])
        raise DataError(
            f"two inputs would both be written as {twice[0]!r}: {both}.",
            remedy="Rename one of them, or give a table (.csv) with the columns image and output.",
        )
    return inputs


def common_folder(source: Path) -> Path | None:
    """Return the folder that all inputs of ``source`` lie in, ``None`` for a table, which may name any."""
    if source.suffix.lower() == ".csv":
        return None
    if source.is_dir() or source.is_file():
        return source if source.is_dir() else source.parent
    return _split_pattern(source)[0]


def check_output(source: Path, output: Path, inputs: Sequence[Input]) -> None:
    """Refuse an output folder that is the input's, is a file, or in which a result would replace an input."""
    folder = common_folder(source)
    if folder is not None and output.resolve() == folder.resolve():
        raise WorkspaceError(f"output and input are the same folder: {output}.", remedy="Name another with -o.")
    if output.exists() and not output.is_dir():
        raise WorkspaceError(f"{output} is a file.", remedy="Name a folder with -o.")
    images = {item.path.resolve() for item in inputs}
    for item in inputs:
        if (output / item.result).resolve() in images:
            raise WorkspaceError(
                f"the result of {item.name} would replace the image {output / item.result}.",
                remedy="Name another folder with -o.",
            )


def shard_of(inputs: Sequence[Input], shard: tuple[int, int] | None) -> list[Input]:
    """Return the part ``i`` of ``n`` (from 1) of the sorted inputs: every n-th, so that neighbours are spread."""
    if shard is None:
        return list(inputs)
    number, count = shard
    if not 1 <= number <= count:
        raise DataError(f"there is no part {number} of {count}.", remedy="Give --shard 1/4, 2/4, 3/4 or 4/4.")
    return list(inputs[number - 1 :: count])


def _of_files(source: Path, output: Path | None) -> tuple[Path, list[Path]]:
    """Return the folder common to all images of a file, folder or pattern, and the images."""
    if source.is_file():
        return source.parent, [source]
    if source.is_dir():
        base, found = source, _images(source, source.iterdir(), output)
        if not found:
            found = _images(source, source.rglob("*"), output)
        what, there = source, sorted(p.name for p in source.iterdir())
    elif any(letter in str(source) for letter in _WILD):
        base, pattern = _split_pattern(source)
        found = _images(base, base.glob(pattern), output) if base.is_dir() else []
        what, there = source, sorted(p.name for p in base.iterdir()) if base.is_dir() else []
    else:
        raise DataError(
            f"{source} does not exist.", remedy="Name an image, a folder of images, a pattern or a .csv with -i."
        )
    if not found:
        raise DataError(
            f"{what} holds no image ({', '.join(ENDINGS)}); it holds {', '.join(there[:3]) or 'nothing'}.",
            remedy="Name a folder of short-axis images with -i.",
        )
    return base, found


def _split_pattern(source: Path) -> tuple[Path, str]:
    """Return the folder before the first part with a wild letter, and the rest."""
    parts = source.parts
    first = next((n for n, part in enumerate(parts) if any(letter in part for letter in _WILD)), len(parts) - 1)
    return Path(*parts[:first]), str(PurePosixPath(*parts[first:]))


def _images(base: Path, paths: Iterable[Path], output: Path | None) -> list[Path]:
    """Return the image files among ``paths``, without what is hidden or lies in an output folder below ``base``."""
    inside = None if output is None else output.resolve()
    if inside is not None and (inside == base.resolve() or not inside.is_relative_to(base.resolve())):
        inside = None
    return [
        path
        for path in paths
        if path.name.lower().endswith(ENDINGS)
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
        and (inside is None or not path.resolve().is_relative_to(inside))
        and path.is_file()
    ]


def _input(path: Path, name: str) -> Input:
    stem, ending = split_ending(name)
    if not ending:
        raise DataError(f"{path} is not an image that can be read.", remedy=f"Give one of {', '.join(ENDINGS)}.")
    return Input(path, name, stem.removesuffix(_CHANNEL), ending)


def _of_table(table: Path) -> list[Input]:
    """Return the images of a table's column ``image``, relative to its folder, with the results that it names."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a table ({error}).", remedy="Save it as CSV in UTF-8.") from error
    if not rows or "image" not in rows[0]:
        columns = ", ".join(str(name) for name in rows[0]) if rows else "no row"
        raise DataError(
            f"{table} must have rows and a column 'image', it has {columns}.",
            remedy="Give the columns image and, if wished, output or case, separated by commas.",
        )
    return [_of_row(table, number, row) for number, row in enumerate(rows, start=2) if (row["image"] or "").strip()]


def _of_row(table: Path, number: int, row: dict[str, str]) -> Input:
    text, output, case = ((row.get(key) or "").strip() for key in ("image", "output", "case"))
    path = table.parent / text
    if not path.is_file():
        raise DataError(f"{table}, row {number}: {path} does not exist.", remedy="Correct the column image.")
    plain = _input(path, path.name)
    named = output or case
    if not named:
        return Input(path, text, plain.stem, plain.ending)
    stem, ending = split_ending(named) if output else (named, "")
    below = PurePosixPath(stem.replace("\\", "/"))
    if below.is_absolute() or ".." in below.parts or not below.name or ":" in stem:
        raise DataError(
            f"{table}, row {number}: the result {named!r} would not lie in the output folder.",
            remedy="Give a name, or a path below the output folder.",
        )
    return Input(path, text, below.as_posix(), ending or plain.ending)

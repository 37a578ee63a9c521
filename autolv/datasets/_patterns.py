"""File patterns with ``{case}``, and what to say when nothing matches them."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from autolv.core.errors import DataError
from autolv.imageio.volumes import ENDINGS, split_ending

_TOKENS = re.compile(r"\{case\}|\*\*/|\*")


def find_by_pattern(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files below ``folder`` that match ``pattern``, by case, in the order of their names.

    ``{case}`` stands for the case within one name, ``*`` for anything within one name, ``**/`` for any folders; a pattern
    without a known ending matches all of them. A trailing ``_0000`` is not part of the case. Raises ``DataError`` where
    two files are of one case.
    """
    compiled = _compile(pattern)
    found: dict[str, Path] = {}
    for path in image_files(folder):
        match = compiled.fullmatch(path.relative_to(folder).as_posix())
        if match is None:
            continue
        case = match.group("case").removesuffix("_0000")
        if case in found:
            raise DataError(
                f"two files match {pattern!r} as case {case!r}: {found[case]} and {path}.",
                remedy="Make the pattern stricter, or list the files in a table.",
            )
        found[case] = path
    return found


def image_files(folder: Path) -> list[Path]:
    """Return all images below ``folder``, sorted; hidden files are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(ENDINGS) and not path.name.startswith(".") and path.is_file()
    )


def no_match(folder: Path, what: str, pattern: str) -> DataError:
    """Return the error that no file of ``folder`` matches: with three names that are there, and the closest one."""
    names = [path.relative_to(folder).as_posix() for path in image_files(folder)] if folder.is_dir() else []
    if not names:
        there = (
            "the folder does not exist" if not folder.is_dir() else f"there is no file ending in {', '.join(ENDINGS)}"
        )
        return DataError(f"{folder} holds no {what} {pattern!r}: {there}.", remedy="Name the folder of images.")
    close = difflib.get_close_matches(pattern, names, n=1, cutoff=0.0)[0]
    return DataError(
        f"no {what} in {folder} matches {pattern!r}; found {', '.join(names[:3])}{', ...' if len(names) > 3 else ''} "
        f"(closest: {close}).",
        remedy="Give --image-pattern and --label-pattern with {case} where the case's name stands, such as "
        "'images/{case}.nii.gz' and 'labels/{case}.nii.gz', or a table with --csv.",
    )


def _compile(pattern: str) -> re.Pattern[str]:
    if "{case}" not in pattern:
        raise DataError(
            f"the pattern {pattern!r} has no {{case}}.",
            remedy="Put {case} where the case's name stands in the file name.",
        )
    text, position, seen = "", 0, False
    for token in _TOKENS.finditer(pattern):
        text += re.escape(pattern[position : token.start()])
        if token.group() == "{case}":
            text += "(?P=case)" if seen else "(?P<case>[^/]+?)"
            seen = True
        else:
            text += "(?:.*/)?" if token.group() == "**/" else "[^/]*"
        position = token.end()
    text += re.escape(pattern[position:])
    if not split_ending(pattern)[1]:
        text += f"(?:{'|'.join(re.escape(ending) for ending in ENDINGS)})"
    return re.compile(text)

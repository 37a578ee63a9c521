"""A large file as several small ones, for ways on which only small ones travel."""

from __future__ import annotations

from pathlib import Path

from autolv.schema.record import write_bytes


def split_file(path: Path, size: int) -> list[Path]:
    """Put ``path.00``, ``path.01``, ... of at most ``size`` bytes in place of ``path``; return them."""
    data = path.read_bytes()
    parts = []
    for number, start in enumerate(range(0, len(data), size)):
        parts.append(path.with_name(f"{path.name}.{number:02d}"))
        write_bytes(parts[-1], data[start : start + size])
    path.unlink()
    return parts


def join_file(path: Path) -> None:
    """Put ``path`` in place of its parts, where there are any and it is not there itself."""
    parts = sorted(path.parent.glob(f"{path.name}.[0-9][0-9]"))
    if parts and not path.exists():
        write_bytes(path, b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()

"""Keep large activations in the heap: glibc maps and unmaps each of them otherwise, which costs up to 1.4 x. No torch."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_M_TRIM_THRESHOLD = -1  # names and numbers: malloc.h of glibc
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc's malloc never to map single blocks nor to give memory back; return whether that was possible.

    The arithmetic is not touched. Elsewhere than on Linux with glibc nothing happens.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def give_back_freed_memory() -> bool:
    """Give the pages of freed blocks back to the system, once; return whether there were any that could be.

    For the end of a stage that needed more than what follows: the next blocks cost a page fault per page. Elsewhere than on
    Linux with glibc nothing happens.
    """
    malloc_trim = _glibc("malloc_trim")
    return malloc_trim is not None and bool(malloc_trim(0))


def _glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, ``None`` where that is not glibc, or is another system's."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return function

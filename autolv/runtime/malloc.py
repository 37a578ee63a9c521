"""Keep large activations in the heap: glibc maps and unmaps each of them otherwise, which costs up to 1.4 x. No torch."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1  # names and numbers: malloc.h of glibc
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc's malloc never to map single blocks nor to give memory back; return whether that was possible.

    The arithmetic is not touched. Elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))

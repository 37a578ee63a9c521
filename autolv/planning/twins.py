"""Twins: patients who share an image. They are one to a split."""

from __future__ import annotations

from collections.abc import Iterable


def merge_overlapping(groups: Iterable[Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the groups, those with a common member merged into one; each sorted, and sorted among themselves."""
    merged: list[set[str]] = []
    for group in groups:
        union = set(group)
        apart = []
        for other in merged:
            if union.isdisjoint(other):
                apart.append(other)
            else:
                union |= other
        merged = [*apart, union]
    return tuple(sorted(tuple(sorted(group)) for group in merged if group))

"""A plan in words: every number with its reason, as plain text below 120 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from autolv.planning.cost import network_cost
from autolv.schema.plan import Configuration, Plan, Tuned
from autolv.schema.record import Record

_WIDTH = 116
_NAME_WIDTH = 24
_VALUE_WIDTH = 27
_SPATIAL = ("patch", "in_plane_spacing_mm")
_PER_STAGE = ("kernels", "strides")


def explain(plan: Plan) -> str:
    """Return the plan as text: an overview, then for each configuration a table of value and reason.

    What a configuration shares with one further up, value and reason, is listed by name and not repeated.
    """
    lines = [*_headline(plan), "", *_overview(plan)]
    for name, reason in plan.not_proposed.items():
        lines += ["", *textwrap.wrap(f"Not proposed: {name}: {reason}", _WIDTH)]
    told: dict[tuple[str, str, str], str] = {}
    for title, configuration in _preprocessings(plan):
        lines += ["", title, *_section(configuration, ("preprocessing",), title, told)]
    for configuration in _recommended_first(plan):
        name = configuration.name
        lines += ["", name, "-" * len(name), *_section(configuration, ("network", "training"), name, told)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _preprocessings(plan: Plan) -> Iterator[tuple[str, Configuration]]:
    """Yield each preprocessing block once: a title, and a configuration that has it."""
    users: dict[str, list[Configuration]] = {}
    for configuration in plan.configurations.values():
        users.setdefault(configuration.preprocessing.content_hash(), []).append(configuration)
    first, *others = users.values()
    yield "Preprocessing" if others else "Preprocessing, the same for all configurations", first[0]
    for group in others:
        yield f"Preprocessing of {', '.join(c.name for c in group)}", group[0]


def _headline(plan: Plan) -> list[str]:
    compute = plan.compute
    minutes = (
        "no time budget" if compute.time_budget_minutes is None else f"{compute.time_budget_minutes:g} min per fold"
    )
    return [
        f"Plan of {plan.dataset} for {compute.device}, {compute.cores} cores, {compute.memory_gb:g} GB, {minutes}",
        f"Structures: {', '.join(plan.structures)}",
        *textwrap.wrap(f"Recommended: {plan.recommended}: {plan.recommended_reason}", _WIDTH),
        *(line for name, tuned in plan.tuned.items() for line in textwrap.wrap(_origin(name, tuned), _WIDTH)),
    ]


def _origin(name: str, tuned: Tuned) -> str:
    return (
        f"{name}: found by autolv_tune from {tuned.began_with} ({tuned.study}, trial {tuned.trial}). "
        f"{tuned.verdict or 'Whether it is better has not been tested.'}"
    )


def _overview(plan: Plan) -> list[str]:
    table = [("configuration", "patch", "channels", "parameters", "GFLOP", "batch", "iterations", "GB", "min")]
    for name, configuration in plan.configurations.items():
        network, training, cost = configuration.network, configuration.training, network_cost(configuration.network)
        table.append(
            (
                name,
                _text("patch", network.patch),
                f"{network.features[0]}..{network.features[-1]}",
                f"{cost.parameters / 1e6:.2f} M",
                f"{cost.forward_flops / 1e9:.1f}",
                str(training.batch_size),
                f"{training.epochs} x {training.iterations_per_epoch}",
                f"{training.expected_memory_gb:.1f}",
                f"{training.expected_minutes:.0f}",
            )
        )
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return [
        rows[0],
        "-" * len(rows[0]),
        *rows[1:],
        "GFLOP: one patch forward. GB and min: expected in training, per fold.",
    ]


def _recommended_first(plan: Plan) -> Iterator[Configuration]:
    yield plan.configurations[plan.recommended]
    yield from (c for name, c in plan.configurations.items() if name != plan.recommended)


def _section(
    configuration: Configuration, blocks: Sequence[str], title: str, told: dict[tuple[str, str, str], str]
) -> Iterator[str]:
    """Yield the lines of some blocks; ``told`` remembers which entry stood first under which title."""
    same: dict[str, list[str]] = {}
    for block in blocks:
        for entry in entries_of(configuration, block):
            if entry in told:
                same.setdefault(told[entry], []).append(entry[0])
                continue
            told[entry] = title
            yield from _rows([entry])
    for name, fields in same.items():
        text = f"as in {name}: {', '.join(fields)}"
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def entries_of(configuration: Configuration, block: str) -> list[tuple[str, str, str]]:
    """Return (name, value, reason) of each field of a block."""
    record: Record = getattr(configuration, block)
    return [
        (_label(name), _text(name, getattr(record, name)), configuration.reasons.get(f"{block}.{name}", ""))
        for name in type(record).model_fields
    ]


def _label(name: str) -> str:
    """Return a field's name as people write it, its unit in brackets."""
    for suffix, unit in (("_mm", "mm"), ("_gb", "GB")):
        if name.endswith(suffix):
            return f"{_label(name.removesuffix(suffix))} ({unit})"
    return name.replace("in_plane", "in-plane").replace("_", " ")


def _rows(entries: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Yield the lines of a three-column table; the last two columns are wrapped."""
    for name, value, reason in entries:
        values = textwrap.wrap(value, _VALUE_WIDTH) or [""]
        reasons = textwrap.wrap(reason, _WIDTH - _NAME_WIDTH - _VALUE_WIDTH - 6) or [""]
        for i in range(max(len(values), len(reasons))):
            left = name if i == 0 else ""
            middle = values[i] if i < len(values) else ""
            right = reasons[i] if i < len(reasons) else ""
            yield f"  {left:<{_NAME_WIDTH}}  {middle:<{_VALUE_WIDTH}}  {right}"


def _text(name: str, value: object) -> str:
    """Return a field's value as people write it: ``144 x 144``, one entry per stage separated by commas."""
    if value is None:
        return "own of each stack"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if name in _PER_STAGE and isinstance(value, tuple):
        return ", ".join("x".join(map(str, stage)) for stage in value)
    if isinstance(value, tuple):
        return (" x " if name in _SPATIAL else ", ").join(_text("", item) for item in value)
    return str(value)

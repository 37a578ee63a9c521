"""From the rounds that were measured to the tables that are printed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autolv.schema.plan import Configuration
from beside_nnunet.translation import surplus

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over rounds, and the ends of what they gave."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of one value per round."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios, each of two values of one round, so that a machine's slow minutes cancel out."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def seconds_of(rounds: Sequence[Mapping[str, Sequence[float]]]) -> list[float]:
    """Return the median seconds per iteration of each round."""
    return [statistics.median(one["seconds"]) for one in rounds]


def step_seconds_of(rounds: Sequence[Mapping[str, Sequence[float]]]) -> list[float]:
    """Return the same without the time before the batch was there."""
    return [
        statistics.median(s - w for s, w in zip(one["seconds"], one["waits"], strict=True)) for one in rounds
    ]  # fmt: skip


def waiting_share(rounds: Sequence[Mapping[str, Sequence[float]]]) -> float:
    """Return the share of all rounds' time that went by before batches were there."""
    return sum(math.fsum(one["waits"]) for one in rounds) / sum(math.fsum(one["seconds"]) for one in rounds)


def fastest(matmul: Sequence[Mapping[str, float]]) -> tuple[str, list[float]]:
    """Return the type of the matrix product with the highest median rate, and its GFLOP/s per round."""
    rates = {name: [one[name] for one in matmul] for name in matmul[0]}
    best = max(rates, key=lambda name: statistics.median(rates[name]))
    return best, rates[best]


def heading(configuration: Configuration, result: Mapping[str, Any]) -> str:
    """Return what stands above a configuration's table: the work, both tools, the way that autolv found, the machine."""
    ours, theirs = result["autolv"]["set_up"], result["nnunet"]["set_up"]
    more, measured = surplus(configuration.network), ours["measured"]
    patch = " x ".join(str(n) for n in configuration.network.patch)
    trial = ", ".join(f"{name} {seconds:.3f}" for name, seconds in measured["trial"].items())
    products = ", ".join(
        f"{name} {statistics.median(one[name] for one in result['matmul']):.3g}" for name in result["matmul"][0]
    )
    lines = (
        f"{configuration.name}: batches of {configuration.training.batch_size} patches of {patch}, "
        f"{result['gflop_per_step']:.1f} GFLOP of convolutions per step",
        f"parameters: autolv {ours['parameters']}, nnU-Net {theirs['parameters']}, of these {more.biases} biases ahead of "
        f"normalisations and {more.heads} of a head of weight 0 more",
        f"autolv {ours['versions']['autolv']}, torch {ours['versions']['torch']}, {measured['threads']} threads: {ours['way']}",
        f"the trial that found it, seconds per step: {trial}",
        f"nnU-Net {theirs['versions']['nnunetv2']}, torch {theirs['versions']['torch']}, {theirs['threads']} threads: "
        f"float32 contiguous, {theirs['workers']} loading processes",
        f"matrix product, 2048 x 2048, GFLOP/s (smaller where that would take long): {products}",
    )
    return "\n".join(lines)


def configuration_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the table of one configuration: a row per figure, a column per arm, and their ratio."""
    ours, theirs = result["autolv"], result["nnunet"]
    seconds = seconds_of(ours["rounds"]), seconds_of(theirs["rounds"])
    dtype, rates = fastest(result["matmul"])
    shares = [
        spread([result["gflop_per_step"] / s / r for s, r in zip(step_seconds_of(arm["rounds"]), rates, strict=True)])
        for arm in (ours, theirs)
    ]

    def pair(figure: str, form: str) -> tuple[str, str, str]:
        return f"{ours[figure]:{form}}", f"{theirs[figure]:{form}}", f"{ours[figure] / theirs[figure]:.2f}"

    return [
        ("", "autolv", "nnU-Net", "autolv / nnU-Net"),
        ("seconds per iteration", *(f"{statistics.median(values):.3f}" for values in seconds), ""),
        ("iterations per second", *(f"{1 / statistics.median(values):.2f}" for values in seconds),
         str(ratios(seconds[1], seconds[0]))),
        ("share of time waiting for data (autolv: cutting and augmenting patches)",
         *(f"{waiting_share(arm['rounds']):.3f}" for arm in (ours, theirs)), ""),
        ("samples per second, loading alone", *pair("samples_per_second", ".0f")),
        ("peak memory, all processes [MiB]", *pair("peak_mib", ".0f")),
        ("peak memory, main process [MiB]", *pair("peak_rss_mib", ".0f")),
        (f"step's convolutions / {dtype} matmul rate", *(f"{share.median:.2f}" for share in shares), ""),
    ]  # fmt: skip


def augmentation_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the table of augmentation alone, on one core."""
    ours, theirs = result["autolv"], result["nnunet"]
    return [
        ("", "autolv", "nnU-Net", "autolv / nnU-Net"),
        ("samples per second and core", f"{statistics.median(ours):.0f}", f"{statistics.median(theirs):.0f}",
         str(ratios(ours, theirs))),
    ]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown, the first of them its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])

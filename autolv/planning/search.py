"""What a search may change of a planned configuration, how far and why; and what it makes of the values drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autolv.planning import budget, rules
from autolv.planning.networks import SizedNetwork, resized, workload
from autolv.planning.planner import plan_training
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Configuration, Network, Training
from autolv.schema.tuning import Options, Point, Searchable, Span, Value

_RATE_FACTOR = 4.0
_DECAY_FACTOR = 10.0
_WIDTHS_EITHER_WAY = 2
_FEWEST_STAGES = 3
_SIDE_FACTORS = (0.75, 1.0, 1.25)
_PRESETS = ("upright", "vendor-robust", "default")
_SUPERVISION = (0.0, 0.25, 0.5, 1.0)
_FOLLOWING = ("epochs", "iterations_per_epoch", "expected_memory_gb", "expected_minutes")  # from the network's cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a configuration was planned from."""

    planned: Configuration
    fingerprint: Fingerprint
    compute: Compute

    @property
    def work(self) -> budget.Workload:
        """What a fold trains on."""
        block = self.planned.preprocessing
        target = rules.Target(in_plane_mm=block.in_plane_spacing_mm[0], slice_mm=block.slice_spacing_mm)
        return workload(self.fingerprint, self.planned.network.dimensions, target)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The spacing that the network sees."""
        block = self.planned.preprocessing
        slices = block.slice_spacing_mm or self.fingerprint.spacing_mm[0].median
        return (
            block.in_plane_spacing_mm if self.planned.network.dimensions == 2 else (slices, *block.in_plane_spacing_mm)
        )

    def fits(self, network: Network) -> bool:
        """Return whether the network can be expected to train, with the planned batch, in the memory planned for."""
        return budget.size(network, self.planned.training.batch_size, self.work, self.compute).enough_memory


def search_space(ground: Ground, losses: Sequence[str]) -> tuple[Searchable, ...]:
    """Return what may be searched about the planned configuration; what leaves no choice is left out.

    ``losses`` are the names of all there are.
    """
    training = ground.planned.training
    found: list[Searchable] = [
        _about(
            "learning_rate", training.learning_rate, _RATE_FACTOR,
            "the best one shifts with width, batch and the number of steps",
        ),
        _about("weight_decay", training.weight_decay, _DECAY_FACTOR, "its effect is seen over orders of magnitude"),
        Options(
            name="width", options=_widths(ground),
            reason="channels of the first stage: up to two of the planner's steps either way, as far as memory allows; "
            "narrower takes more steps in the same time",
        ),
        Options(
            name="depth", options=_depths(ground),
            reason="resolutions: one fewer or more, where the patch allows it",
        ),
        Options(
            name="patch", options=_sides(ground),
            reason="in-plane side in voxels: a quarter smaller or larger, as far as the field and memory allow",
        ),
        Options(
            name="augmentation", options=tuple(dict.fromkeys((*_PRESETS, training.augmentation))),
            reason="presets from few changes to many; without any, a short training would look better than a long one ends",
        ),
        Options(
            name="supervision", options=_supervision(training),
            reason="weight in the loss of each coarser head, relative to the one before (0: the finest alone)",
        ),
        Options(
            name="loss", options=tuple(dict.fromkeys((training.loss, *losses))), reason="the losses that there are"
        ),
    ]  # fmt: skip
    return tuple(one for one in found if (one.low > 0 if isinstance(one, Span) else len(one.options) > 1))


def planned_point(planned: Configuration) -> Point:
    """Return the values that the planned configuration has itself."""
    network, training = planned.network, planned.training
    return {
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "width": network.features[0],
        "depth": network.stages,
        "patch": network.patch[-1],
        "augmentation": training.augmentation,
        "supervision": _ratio(training.deep_supervision_weights),
        "loss": training.loss,
    }


def candidate(ground: Ground, point: Mapping[str, Value]) -> Configuration:
    """Return the planned configuration with the values of ``point``, and what follows from them; with its own, itself.

    Where the width does not fit the memory together with the other values, the widest below it that does is taken.
    """
    planned = ground.planned
    drawn = {**planned_point(planned), **point}
    changed = {name: value for name, value in drawn.items() if value != planned_point(planned)[name]}
    network = _network(ground, drawn) if changed.keys() & {"width", "depth", "patch"} else planned.network
    update: dict[str, object] = {name: changed[name] for name in ("augmentation", "loss") if name in changed}
    update |= {name: float(f"{changed[name]:.3g}") for name in ("learning_rate", "weight_decay") if name in changed}
    if "supervision" in changed or network.heads != planned.network.heads:
        update["deep_supervision_weights"] = _weights(float(drawn["supervision"]), network.heads)
    reasons = dict(planned.reasons)
    if network != planned.network:
        sizing = budget.size(network, planned.training.batch_size, ground.work, ground.compute)
        made, why = plan_training(SizedNetwork(sizing=sizing, work=ground.work, reasons={}), ground.compute)
        update |= {name: getattr(made, name) for name in _FOLLOWING}
        reasons |= {f"training.{name}": why[f"training.{name}"] for name in _FOLLOWING}
    training = planned.training.model_copy(update=update)
    return planned.model_copy(update={"network": network, "training": training, "reasons": reasons})


def as_found(planned: Configuration, winner: Configuration, *, name: str, how: str) -> Configuration:
    """Return ``winner`` under its own name, with ``how`` it was found as the reason of each number that differs."""
    reasons = dict(winner.reasons)
    for block in ("network", "training"):
        before, after = getattr(planned, block), getattr(winner, block)
        for field in type(before).model_fields:
            if getattr(before, field) != getattr(after, field) and field not in _FOLLOWING:
                reasons[f"{block}.{field}"] = f"{how}; {planned.name} has {_text(getattr(before, field))}"
    return winner.model_copy(update={"name": name, "reasons": reasons})


def _about(name: str, value: float, factor: float, reason: str) -> Span:
    return Span(
        name=name,
        low=value / factor,
        high=value * factor,
        reason=f"{factor:g} times the planned one either way: {reason}",
    )


def _network(ground: Ground, drawn: Mapping[str, Value]) -> Network:
    """Return the network of the values drawn, narrower where it would not fit the memory."""
    base, depth, patch = (int(drawn[name]) for name in ("width", "depth", "patch"))
    narrower = [width for width in budget.bases(ground.compute.device) if width < base]
    for width in (base, *reversed(narrower)):
        network = _with(ground, width=width, depth=depth, patch=patch)
        if ground.fits(network):
            break
    return network


def _widths(ground: Ground) -> tuple[int, ...]:
    planned = ground.planned.network
    widths = budget.bases(ground.compute.device)
    below = [width for width in widths if width < planned.features[0]][-_WIDTHS_EITHER_WAY:]
    above = [width for width in widths if width > planned.features[0]][:_WIDTHS_EITHER_WAY]
    fitting = [width for width in above if ground.fits(_with(ground, width=width))]
    return (*below, planned.features[0], *fitting)


def _depths(ground: Ground) -> tuple[int, ...]:
    stages = ground.planned.network.stages
    others = [depth for depth in (stages - 1, stages + 1) if depth >= _FEWEST_STAGES]
    possible = {depth for depth in others if _with(ground, depth=depth).stages == depth}
    return tuple(sorted({stages, *possible}))


def _sides(ground: Ground) -> tuple[int, ...]:
    """Return the in-plane sides, multiples of the downsampling; the planned one alone where it is not square."""
    network = ground.planned.network
    side, step = network.patch[-1], network.downsampling[-1]
    if network.patch[-2] != side or network.downsampling[-2] != step:
        return (side,)
    field = rules.field_sides_mm(ground.fingerprint)[0] / ground.planned.preprocessing.in_plane_spacing_mm[0]
    largest = max(side, math.ceil(field / step) * step)
    found = {
        min(largest, max(step, rules.SMALLEST_SIDE, round(factor * side / step) * step)) for factor in _SIDE_FACTORS
    }
    return tuple(sorted({side, *(s for s in found if s % step == 0 and ground.fits(_with(ground, patch=s)))}))


def _with(ground: Ground, **values: int) -> Network:
    """Return the planned network with some of its sizes changed."""
    network = ground.planned.network
    side = values.get("patch", network.patch[-1])
    return resized(
        network, ground.spacing_mm,
        base=values.get("width", network.features[0]),
        stages=values.get("depth", network.stages),
        patch=network.patch if side == network.patch[-1] else (*network.patch[:-2], side, side),
    )  # fmt: skip


def _supervision(training: Training) -> tuple[float, ...]:
    """Return the ratios to search, only the planned one where its weights are not of this kind or there is one head."""
    weights = training.deep_supervision_weights
    ratio = _ratio(weights)
    of_this_kind = len(weights) > 1 and all(
        math.isclose(a, b, abs_tol=1e-6) for a, b in zip(weights, _weights(ratio, len(weights)), strict=True)
    )
    return tuple(sorted({*_SUPERVISION, ratio})) if of_this_kind else (ratio,)


def _ratio(weights: Sequence[float]) -> float:
    return round(weights[1] / weights[0], 4) if len(weights) > 1 and weights[0] > 0 else 0.5


def _weights(ratio: float, heads: int) -> tuple[float, ...]:
    """Return weights of which each is ``ratio`` times the one before, with a sum of 1."""
    weights = [ratio**head for head in range(heads)]
    return tuple(weight / sum(weights) for weight in weights)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join("x".join(map(str, item)) if isinstance(item, tuple) else _text(item) for item in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)

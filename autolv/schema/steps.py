"""The ways to take training steps, and what a machine remembers of having timed them."""

from __future__ import annotations

from typing import Literal

from autolv.schema.plan import Ints
from autolv.schema.record import Record


class Way(Record):
    """One way to take steps. ``graphs``: as CUDA graphs, which launch all of a step's kernels at once."""

    precision: Literal["float32", "bfloat16", "float16"]
    channels_last: bool = False
    compiled: bool = False
    graphs: bool = False

    @property
    def name(self) -> str:
        """The way in words, as it stands in ``run.json``."""
        layout = "channels_last" if self.channels_last else "contiguous"
        return f"{self.precision} {layout}{' compiled' if self.compiled else ''}{' graphs' if self.graphs else ''}"


class TrialSetting(Record):
    """Everything on which the outcome of a trial depends.

    ``samples`` go through the network at once; ``layout`` and ``compile_mode`` are what was asked for (``off`` also where
    the run is too short for compiling to pay).
    """

    device: str
    device_name: str
    threads: int
    torch: str
    autolv: str
    architecture: str
    patch: Ints
    network_hash: str
    samples: int
    loss: str
    optimiser: str
    layout: str
    compile_mode: str


class RememberedTrial(Record):
    """A trial as it ended: the way that was chosen, and the seconds per step of each way that was tried, by name."""

    version: Literal[1] = 1
    setting: TrialSetting
    way: Way
    seconds: dict[str, float]

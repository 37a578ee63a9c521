"""Time and memory of a training step of each configuration in a plan, each way that autolv would try, on any device.

    python benchmarks/step_time.py plans/ACDC/plan.json --device cuda [--configurations 2d_unet 3d_unet] [--compile]

Needs torch, numpy, pydantic and safetensors only; the images are noise, since a step's time does not depend on them. One
configuration takes seconds on a GPU; on two cores about a minute. Beside each time stands the plan's expectation of memory,
and the rate of a 2048 x 2048 matrix product in each dtype, measured in the same run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.networks import build_network
from autolv.planning.budget import step_flops
from autolv.runtime.device import device_name, prepare, resolve_device
from autolv.runtime.rates import matmul_rates
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import read_record
from autolv.training.sampler import Batch
from autolv.training.trial import candidates, run_trial


def measure(configuration: Configuration, device: torch.device, rates: Mapping[str, float], compile_mode: str) -> None:
    """Print the seconds per step of a configuration, each way, and the peak memory on a GPU."""
    network, training = configuration.network, configuration.training
    torch.manual_seed(0)
    batch = Batch(
        images=torch.randn(training.batch_size, 1, *network.patch),
        labels=torch.randint(0, network.classes, (training.batch_size, *network.patch)),
        cases=("noise",),
    )
    loss = DeepSupervisionLoss(LOSSES.get(training.loss)(), training.deep_supervision_weights)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    way, times = run_trial(
        build_network(network).train().to(device), batch, loss, training,
        device=device, ways=candidates(device, rates, precision="auto", layout="auto"), compile_mode=compile_mode,
    )  # fmt: skip
    gflop = step_flops(network, training.batch_size) / 1e9
    print(f"{configuration.name}: batch {training.batch_size} of {network.patch}, {gflop:.0f} GFLOP per step")
    for name, seconds in sorted(times.items(), key=lambda item: item[1]):
        mark = "*" if name == way.name else " "
        print(
            f"  {mark} {name:34s} {seconds:8.4f} s  {gflop / seconds:8.0f} GFLOP/s  "
            f"{gflop / seconds / max(rates.values()):.2f} of the matmul rate"
        )
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**30
        print(f"    peak memory {peak:.2f} GiB over all ways, expected {training.expected_memory_gb:.2f}")


def main() -> None:
    """Run for the configurations asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--configurations", nargs="*")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    device = resolve_device(args.device)
    threads = prepare(device)
    print(f"{device_name(device)}, {threads} threads, torch {torch.__version__}")
    rates = matmul_rates(device)
    for precision, rate in rates.items():
        print(f"  matmul {precision}: {rate:.0f} GFLOP/s")
    plan = read_record(Plan, args.plan)
    for name in args.configurations or plan.configurations:
        measure(plan.configurations[name], device, rates, "auto" if args.compile else "off")


if __name__ == "__main__":
    main()

"""Time of the loss alone, forward and backward, of three heads of 12 patches of 144 x 144, beside one written out plainly.

    python benchmarks/loss_time.py [--device cuda] [--threads 1]

The plain one computes cross-entropy and Dice head by head with torch's own functions. Seconds on a GPU or on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor
from torch.nn import functional

from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss, subsample_target
from autolv.runtime.malloc import keep_freed_memory

_WEIGHTS = (1.0, 0.5, 0.25)
_ROUNDS = 60


def plain(outputs: list[Tensor], target: Tensor) -> Tensor:
    """Return the loss of each head by itself, added up."""
    total = torch.zeros((), device=target.device)
    for logits, weight in zip(outputs, _WEIGHTS, strict=True):
        log_probabilities = logits.float().log_softmax(1)
        seen = subsample_target(target, tuple(logits.shape[2:]))
        truth = seen.unsqueeze(1) == torch.arange(1, 4, device=target.device).view(1, 3, 1, 1)
        found = log_probabilities[:, 1:].exp()
        overlap, size = torch.where(truth, found, 0.0).sum((0, 2, 3)), found.sum((0, 2, 3)) + truth.sum((0, 2, 3))
        dice = ((2 * overlap + 1e-5) / (size + 1e-5)).mean()
        total = total + weight / sum(_WEIGHTS) * (functional.nll_loss(log_probabilities, seen) + 1 - dice)
    return total


def timed(loss: Callable[[list[Tensor], Tensor], Tensor], outputs: list[Tensor], target: Tensor) -> float:
    """Return the milliseconds of the fastest of some rounds."""
    seconds = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        loss(outputs, target).backward()
        if target.device.type == "cuda":
            torch.cuda.synchronize(target.device)
        seconds.append(time.perf_counter() - begin)
    return 1e3 * min(seconds)


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    made = DeepSupervisionLoss(LOSSES.get("dice_ce")(), _WEIGHTS)
    known = torch.ones(12, 4, dtype=torch.bool, device=arguments.device)
    known[::2, 3] = False  # every other sample lacks the annotation of the last structure
    target = torch.randint(0, 3, (12, 144, 144), generator=torch.Generator().manual_seed(0)).to(arguments.device)
    ways = {"plain": plain, "dice_ce": made, "dice_ce, partial labels": lambda o, t: made(o, t, known)}
    for precision in (torch.float32, torch.bfloat16):
        outputs = [
            torch.randn(12, 4, n, n, device=arguments.device).to(precision).requires_grad_() for n in (144, 72, 36)
        ]
        for name, loss in ways.items():
            print(f"{name:24s} {precision!s:15s} {timed(loss, outputs, target):6.2f} ms")


if __name__ == "__main__":
    main()

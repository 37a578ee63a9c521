"""One training in several processes: all that they tell one another. A training in one process is a group of itself.

``torchrun`` starts the processes and tells them, through the environment, where they meet: on the machine itself. Numbers
on the CPU go by gloo, those on a GPU by NCCL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import torch
from torch import Tensor, distributed

from autolv.core import errors
from autolv.core.errors import AutolvError, DeviceError, Interrupted, TrainingError

_PATIENCE = timedelta(days=1)  # the others wait while the first validates; a process that ends is noticed at once


class Ranks(Protocol):
    """The processes of one training, as one of them sees them. All must make the same calls in the same order."""

    rank: int
    size: int

    @property
    def is_main(self) -> bool:
        """Whether this is the first process: the one that logs, writes and validates."""

    def total(self, sums: Tensor) -> Tensor:
        """Return the sums over all processes of each process's ``sums``; the gradient is that of the own part.

        Whatever is computed from the result is the same in all processes, and its gradients, once added up by
        ``add_gradients``, are those of one process with all the data.
        """

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Put the sum over all processes into the gradients of ``parameters``."""

    def anywhere(self, flag: bool) -> bool:  # noqa: FBT001 - it is what is asked about
        """Return whether ``flag`` holds in any process."""

    def least(self, number: int) -> int:
        """Return the least ``number`` of all processes."""

    def from_main(self, work: Callable[[], str | None]) -> str:
        """Do ``work`` in the first process alone and return its text (``None`` counts as "") in all.

        An ``AutolvError`` that it raises there is raised in all.
        """

    def tell_out_of_memory(self, error: BaseException) -> None:
        """Let the others know, wherever they are in the step, that this process gives it up because of ``error``.

        What they call next raises ``PeerOutOfMemory``; nothing happens if ``error`` is that one itself.
        """


class PeerOutOfMemory(torch.OutOfMemoryError):
    """Memory ran out in another process of the same training."""


class Alone:
    """A training in one process."""

    rank, size, is_main = 0, 1, True

    def total(self, sums: Tensor) -> Tensor:
        """Return ``sums``."""
        return sums

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Leave the gradients as they are."""

    def anywhere(self, flag: bool) -> bool:  # noqa: FBT001
        """Return ``flag``."""
        return flag

    def least(self, number: int) -> int:
        """Return ``number``."""
        return number

    def from_main(self, work: Callable[[], str | None]) -> str:
        """Do ``work`` and return its text."""
        return work() or ""

    def tell_out_of_memory(self, error: BaseException) -> None:
        """Do nothing: there is nobody to tell."""


class Group:
    """A training in several processes, of torch's process group that has been joined."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    @property
    def is_main(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def total(self, sums: Tensor) -> Tensor:
        """Return the sums over all processes; the gradient is that of ``sums``."""
        self._meet()
        whole = sums.detach().clone()
        with _telling_who_is_gone():
            distributed.all_reduce(whole)
        return whole + (sums - sums.detach())  # the bracket is exactly 0 and carries the gradient

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Add up all gradients, as one flat tensor."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._meet()
        with _telling_who_is_gone():
            distributed.all_reduce(flat)
        for gradient, piece in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view(gradient.shape))

    def anywhere(self, flag: bool) -> bool:  # noqa: FBT001
        """Return whether ``flag`` holds in any process."""
        return bool(self._reduced(float(flag), distributed.ReduceOp.MAX))

    def least(self, number: int) -> int:
        """Return the least ``number``."""
        return int(self._reduced(float(number), distributed.ReduceOp.MIN))

    def from_main(self, work: Callable[[], str | None]) -> str:
        """Do ``work`` in process 0 and send its text, or its error, to the others."""
        if not self.is_main:
            told = json.loads(self._sent(b""))
            if "error" in told:
                raise getattr(errors, told["error"], TrainingError)(told["message"], remedy=told["remedy"])
            return str(told["text"])
        try:
            text = work() or ""
        except AutolvError as error:
            told = {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}
            self._sent(json.dumps(told).encode())
            raise
        self._sent(json.dumps({"text": text}).encode())
        return text

    def tell_out_of_memory(self, error: BaseException) -> None:
        """Meet the others with the news."""
        if not isinstance(error, PeerOutOfMemory):
            self._reduced(1.0, distributed.ReduceOp.MAX)

    def _meet(self) -> None:
        """Meet the others before numbers are exchanged: one whose memory ran out comes here, and no further."""
        if self._reduced(0.0, distributed.ReduceOp.MAX) > 0:
            raise PeerOutOfMemory("out of memory in another process")

    def _reduced(self, value: float, operation: distributed.ReduceOp.RedOpType) -> float:
        number = torch.tensor([value], dtype=torch.float64)
        with _telling_who_is_gone():
            distributed.all_reduce(number, op=operation)
        return float(number)

    def _sent(self, data: bytes) -> bytes:
        """Return the ``data`` of process 0."""
        length = torch.tensor([len(data)])
        with _telling_who_is_gone():
            distributed.broadcast(length, src=0)
            content = torch.frombuffer(bytearray(data or bytes(int(length))), dtype=torch.uint8)
            distributed.broadcast(content, src=0)
        return content.numpy().tobytes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """Yield the processes that ``torchrun`` has started for this training, or this one alone, and the device to work on.

    Each process gets a GPU of its own for ``auto`` and ``cuda``. Raises ``DeviceError`` where that cannot be,
    ``TrainingError`` where the processes do not find one another.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield Alone(), device
        return
    own = _own_device(device, distributed.get_node_local_rank(fallback_rank=0))
    backend = "gloo"  # knows GPUs too
    if own != "cpu":
        torch.cuda.set_device(own)
        if distributed.is_nccl_available():
            backend = "cpu:gloo,cuda:nccl"
    with _telling_who_is_gone():
        distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Group(), own
    except Interrupted:  # in all of them alike
        distributed.destroy_process_group()
        raise
    distributed.destroy_process_group()  # not after an error, when an exchange may be under way


def _own_device(name: str, local_rank: int) -> str:
    """Return the device of the process ``local_rank`` of this machine."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if name not in ("auto", "cuda"):
        raise DeviceError(
            f"torchrun has started several processes, and each needs a device of its own; {name!r} is one device.",
            remedy="Use --device auto, cuda or cpu, or start autolv_train without torchrun.",
        )
    if local_rank >= torch.cuda.device_count():
        raise DeviceError(
            f"torchrun has started more processes than there are GPUs ({torch.cuda.device_count()}).",
            remedy="Start fewer with --nproc-per-node.",
        )
    return f"cuda:{local_rank}"


@contextmanager
def _telling_who_is_gone() -> Iterator[None]:
    """Raise ``TrainingError`` for the failures of an exchange: another process has ended, or never came."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise TrainingError(
            f"another process of this training is no longer there ({str(error).splitlines()[0][:80]}); the state saved "
            "last is kept.",
            remedy="See above what it said; run the same command again to go on from there.",
        ) from error

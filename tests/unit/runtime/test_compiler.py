"""How torch.compile is told to work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch._functorch.config as ahead_of_time
import torch._inductor.config as inductor

from autolv.runtime.compiler import compile_lean


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with inductor.patch(compile_threads=7), ahead_of_time.patch(force_non_lazy_backward_lowering=False):
        yield


def test_one_compiler_at_a_time_and_the_backward_pass_ahead() -> None:
    compile_lean()
    assert inductor.compile_threads == 1
    assert ahead_of_time.force_non_lazy_backward_lowering is True


def test_a_setting_that_this_torch_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        """No setting at all."""

    monkeypatch.setattr("torch._functorch.config", Older)
    compile_lean()
    assert not hasattr(Older, "force_non_lazy_backward_lowering")

"""Beginning from a model: what fits is taken, what does not is named, and no fold begins from its own patients."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from autolv.core.errors import ModelError, TrainingError
from autolv.networks import build_network
from autolv.pipeline.start import Start, begin_from, read_start, refuse_leak
from autolv.schema.plan import Network

THREE = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _network(seed: int, *, classes: int = 4, features: tuple[int, ...] = (4, 6, 8)) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network(
        Network(
            architecture="unet", patch=(16, 16), in_channels=1, classes=classes, features=features,
            kernels=((3, 3),) * 3, strides=((1, 1), (2, 2), (2, 2)), blocks=(1, 1, 1), decoder_blocks=(1, 1), heads=2,
        )
    )  # fmt: skip
    for parameter in network.parameters():  # biases begin at 0, all alike
        torch.nn.init.normal_(parameter)
    return network


def _start(network: torch.nn.Module, structures: tuple[str, ...] = THREE, **changes: object) -> Start:
    known: dict[str, object] = {"dataset": "Other", "patients": ("a", "b"), "place": Path("there")}
    return Start(weights=network.state_dict(), structures=structures, **{**known, **changes})  # type: ignore[arg-type]


def test_a_network_of_the_same_form_is_taken_whole(caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours = _network(1), _network(2)
    with caplog.at_level(logging.INFO):
        begin_from(ours, _start(theirs), THREE)
    assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), ours.parameters(), strict=True))
    total = len(theirs.state_dict())
    assert caplog.messages == [f"begins from there: {total} of {total} tensors fit"]


def test_heads_go_by_structure_and_not_by_place() -> None:
    theirs, ours = _network(1), _network(2, classes=3)
    fresh = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    begin_from(ours, _start(theirs), ("rv_cavity", "lv_cavity"))
    for kind in ("weight", "bias"):
        given, got = theirs.state_dict()[f"heads.0.{kind}"], ours.state_dict()[f"heads.0.{kind}"]
        assert torch.equal(got[0], given[0])  # background
        assert torch.equal(got[1], given[3]) and torch.equal(got[2], given[1])
        assert not torch.equal(got, fresh[f"heads.0.{kind}"])


def test_a_structure_that_they_do_not_know_begins_anew() -> None:
    theirs, ours = _network(1, classes=2), _network(2)
    fresh = ours.state_dict()["heads.0.weight"].clone()
    begin_from(ours, _start(theirs, ("lv_cavity",)), THREE)
    given, got = theirs.state_dict()["heads.0.weight"], ours.state_dict()["heads.0.weight"]
    assert torch.equal(got[:2], given) and torch.equal(got[2:], fresh[2:])


def test_what_does_not_fit_is_named_with_both_shapes(caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours = _network(1, features=(4, 6, 9)), _network(2)
    with caplog.at_level(logging.WARNING):
        begin_from(ours, _start(theirs), THREE)
    told = caplog.messages[0]
    assert "encoder.2.0.weight (8, 6, 3, 3): (9, 6, 3, 3) there" in told
    assert "encoder.1.0.weight" not in told
    assert torch.equal(ours.state_dict()["encoder.0.0.weight"], theirs.state_dict()["encoder.0.0.weight"])


def test_where_nothing_fits_that_is_an_error() -> None:
    stranger = Start(place=Path("there"), weights={"x": torch.zeros(1)}, structures=THREE, dataset="O", patients=None)
    with pytest.raises(TrainingError, match="nothing of there fits"):
        begin_from(_network(2), stranger, THREE)


def test_no_fold_begins_from_its_own_patients() -> None:
    network = _network(1)
    refuse_leak(_start(network, dataset="D", patients=("a", "b")), "D", ("c", "d"))
    refuse_leak(_start(network, dataset="E", patients=("a", "b")), "D", ("a", "d"))  # another dataset's patient a
    with pytest.raises(TrainingError, match=r"trained on 1 of this fold's 2 validation patients \(a"):
        refuse_leak(_start(network, dataset="D", patients=("a", "b")), "D", ("a", "d"))
    with pytest.raises(TrainingError, match="trained on D itself"):
        refuse_leak(_start(network, dataset="D", patients=None), "D", ("c",))


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a model folder nor a trained fold"):
        read_start(tmp_path, "2d_unet")

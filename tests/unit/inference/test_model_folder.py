"""The model folder: whole or not at all, refused when it was changed, loads nothing that could run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from autolv.core.errors import ModelError
from autolv.inference import model_folder
from autolv.inference.model_folder import describe_member, load_network, read_model, write_model
from autolv.schema.plan import Configuration

MakeModel = Callable[..., Path]


def edit(folder: Path, **changes: object) -> None:
    """Change the record of a model as someone with an editor could."""
    path = folder / "best_config.json"
    record = json.loads(path.read_text())
    record["members"][0] |= changes
    path.write_text(json.dumps(record))


def test_written_and_read_back(make_model: MakeModel, configuration: Callable[..., Configuration]) -> None:
    folder = make_model((configuration("2d_unet"), configuration("3d_unet", 3, patch=(2, 16, 16))), folds=2)
    found = sorted(str(p.relative_to(folder).as_posix()) for p in folder.rglob("*") if p.is_file())
    names = [f"weights/{name}_fold{fold}.safetensors" for name in ("2d_unet", "3d_unet") for fold in (0, 1)]
    assert found == ["best_config.json", *names]
    best = read_model(folder)
    network = load_network(folder, best, best.members[3])
    assert not network.training
    saved = load_file(folder / best.members[3].weights)
    for key, value in network.state_dict().items():
        assert torch.equal(value, saved[key])


def test_loading_leaves_torchs_generator_alone(make_model: MakeModel) -> None:
    folder = make_model()
    best = read_model(folder)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_network(folder, best, best.members[0])
    assert torch.equal(torch.rand(1), expected)


def test_it_works_after_being_copied_away(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    away = tmp_path / "elsewhere" / "copy"
    shutil.copytree(folder, away)
    shutil.rmtree(folder)
    best = read_model(away)
    assert load_network(away, best, best.members[0])


def test_a_single_changed_byte_is_refused(make_model: MakeModel) -> None:
    folder = make_model()
    best = read_model(folder)
    file = folder / best.members[0].weights
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="was changed") as caught:
        load_network(folder, best, best.members[0])
    assert caught.value.remedy and str(file) in caught.value.message


def test_missing_weights_are_named(make_model: MakeModel) -> None:
    folder = make_model()
    best = read_model(folder)
    (folder / best.members[0].weights).unlink()
    with pytest.raises(ModelError, match="2d_unet_fold0"):
        load_network(folder, best, best.members[0])


@pytest.mark.parametrize(
    "weights", ["../secret", "/etc/passwd", "C:/secret", "weights\\..\\..\\secret", "", "a/../../b"]
)
def test_a_path_out_of_the_folder_is_refused_before_it_is_read(
    weights: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    edit(folder, weights=weights)
    best = read_model(folder)
    monkeypatch.setattr(model_folder, "_read", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(ModelError, match="outside"):
        load_network(folder, best, best.members[0])


def test_a_link_out_of_the_folder_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    best = read_model(folder)
    file = folder / best.members[0].weights
    outside = tmp_path / "outside.safetensors"
    file.rename(outside)
    try:
        file.symlink_to(outside)
    except OSError:
        pytest.skip("this system lets no links be made")
    with pytest.raises(ModelError, match="lead out"):
        load_network(folder, best, best.members[0])


def test_weights_of_another_network_are_refused(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    file = folder / "weights" / "2d_unet_fold0.safetensors"
    save_file({"stranger": torch.zeros(3)}, file)
    edit(folder, sha256=describe_member("2d_unet", 0, file).sha256)
    best = read_model(folder)
    with pytest.raises(ModelError, match="does not fit"):
        load_network(folder, best, best.members[0])


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (Path.touch, (self.trace,))  # type: ignore[return-value]


def test_pickled_code_is_not_run(make_model: MakeModel, tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    payload = pickle.dumps(Bomb(trace))
    pickle.loads(payload)
    assert trace.exists()  # the payload works
    trace.unlink()
    folder = make_model()
    file = folder / "weights" / "2d_unet_fold0.safetensors"
    file.write_bytes(payload)
    edit(folder, sha256=describe_member("2d_unet", 0, file).sha256)
    best = read_model(folder)
    with pytest.raises(ModelError, match="does not fit"):
        load_network(folder, best, best.members[0])
    assert not trace.exists()


def test_what_is_not_a_model_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model folder"):
        read_model(tmp_path / "nothing")
    folder = make_model()
    edit(folder, configuration="5d_unet")
    with pytest.raises(ModelError, match="5d_unet"):
        read_model(folder)
    (folder / "best_config.json").write_text("{ half a")
    with pytest.raises(ModelError, match="not valid JSON"):
        read_model(folder)


def test_a_record_without_members_or_with_other_classes_is_refused(make_model: MakeModel) -> None:
    folder = make_model()
    path = folder / "best_config.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"members": []}))
    with pytest.raises(ModelError, match="no network"):
        read_model(folder)
    path.write_text(json.dumps(record | {"structures": ["lv_cavity"]}))
    with pytest.raises(ModelError, match="4 classes, expected background and 1"):
        read_model(folder)


def test_replacing_a_model_leaves_the_new_one_alone(
    make_model: MakeModel, configuration: Callable[..., Configuration]
) -> None:
    folder = make_model(folds=3)
    make_model((configuration("2d_vnet_name"),), folds=1)
    assert [member.configuration for member in read_model(folder).members] == ["2d_vnet_name"]
    assert [p.name for p in (folder / "weights").iterdir()] == ["2d_vnet_name_fold0.safetensors"]
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


def test_a_failed_write_leaves_the_old_model_and_nothing_half_written(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    best = read_model(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    file = tmp_path / "other.safetensors"
    file.write_bytes(b"not what the member says")
    with pytest.raises(ModelError, match="was changed"):
        write_model(folder, best, [file])
    with pytest.raises(ModelError, match="cannot read"):
        write_model(tmp_path / "new", best, [tmp_path / "missing"])
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert not (tmp_path / "new").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_failure_at_the_last_moment_brings_the_old_model_back(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    best = read_model(folder)
    rename = Path.rename

    def stumble(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stumble)
    with pytest.raises(OSError, match="disk"):
        write_model(folder, best, [folder / best.members[0].weights])
    assert load_network(folder, best, best.members[0])
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


def test_a_folder_of_other_things_is_not_replaced(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    best = read_model(folder)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("mine")
    with pytest.raises(ModelError, match="not a model folder"):
        write_model(precious, best, [folder / best.members[0].weights])
    assert (precious / "thesis.txt").read_text() == "mine"


def test_files_and_members_must_be_as_many(make_model: MakeModel) -> None:
    folder = make_model()
    with pytest.raises(ValueError, match="as many files"):
        write_model(folder, read_model(folder), [])

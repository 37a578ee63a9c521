"""The predictor: frames, cines, arrays and files give the same labels, and members weigh as they should."""

import os
import tempfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.core.errors import DataError, DeviceError, ModelError
from autolv.core.geometry import Geometry, Volume
from autolv.imageio.volumes import read_image, write_image
from autolv.inference import members
from autolv.inference import predictor as module
from autolv.inference.ensemble import mean_probabilities, most_probable
from autolv.inference.model_folder import load_network, read_model
from autolv.inference.predictor import Predictor, predict_case
from autolv.postprocessing import apply_steps
from autolv.schema.plan import Configuration
from autolv.schema.results import Step

MakeModel = Callable[..., Path]
Configure = Callable[..., Configuration]
SPACING = (8.0, 1.25, 1.5)


@pytest.fixture
def volume(stack: NDArray[np.float32]) -> Volume:
    return Volume(array=stack, geometry=Geometry.from_spacing(SPACING, (3, 22, 26)))


@pytest.fixture
def cine(stack: NDArray[np.float32]) -> Volume:
    rng = np.random.default_rng(11)
    frames = np.stack([stack * (1 + 0.2 * t) + rng.normal(0, 30, stack.shape) for t in range(4)]).astype(np.float32)
    return Volume(array=frames, geometry=Geometry.from_spacing(SPACING, (3, 22, 26)))


def test_one_member_equals_the_plain_path(make_model: MakeModel, volume: Volume) -> None:
    folder = make_model()
    best = read_model(folder)
    network = load_network(folder, best, best.members[0])
    labels, probabilities = predict_case(network, volume, best.configurations["2d_unet"])
    assert labels.shape == volume.array.shape and probabilities.shape == (4, *volume.array.shape)
    assert len(np.unique(labels)) > 1  # else the comparisons below would say little
    found = Predictor.load(folder).predict(volume, probabilities=True)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities, probabilities.astype(np.float16))
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0, atol=1e-5)


def test_frame_k_of_a_cine_is_frame_k_alone_bit_for_bit(
    make_model: MakeModel, configuration: Configure, cine: Volume
) -> None:
    folder = make_model(
        (configuration("2d_unet"), configuration("3d_unet", 3, patch=(2, 16, 16), spacing_mm=2.0)),
        folds=2,
        postprocessing=(Step(name="largest_component", structure="lv_cavity"),),
    )
    predictor = Predictor.load(folder)
    whole = predictor.predict(cine, probabilities=True)
    assert whole.labels.shape == (4, 3, 22, 26) and whole.labels.dtype == np.uint8
    assert whole.probabilities is not None and whole.probabilities.shape == (4, 4, 3, 22, 26)
    changed = 0
    for k in range(4):
        alone = predictor.predict(cine.frame(k), probabilities=True)
        np.testing.assert_array_equal(whole.labels[k], alone.labels)
        np.testing.assert_array_equal(whole.probabilities[k], alone.probabilities)
        changed += alone.changed_voxels[0]
    assert whole.changed_voxels == (changed,)
    assert (whole.labels[0] != whole.labels[3]).any()


def test_configurations_weigh_alike_however_many_folds_they_have(
    make_model: MakeModel, configuration: Configure, volume: Volume
) -> None:
    one, other = configuration("2d_unet"), configuration("2d_wide", spacing_mm=2.5)
    folder = make_model((one, other), folds=3)
    best = read_model(folder)
    keep = [member for member in best.members if member.configuration == "2d_unet" or member.fold == 2]
    networks = [(member, load_network(folder, best, member)) for member in keep]  # 3 folds of one, 1 of the other
    found = Predictor(best, networks, device=torch.device("cpu")).predict(volume, probabilities=True)
    each = [predict_case(network, volume, best.configurations[m.configuration])[1] for m, network in networks]
    expected = (sum(each[:3]) / 3 + each[3]) / 2
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)
    np.testing.assert_array_equal(
        found.labels, most_probable(mean_probabilities([mean_probabilities(each[:3]), each[3]]))
    )


def test_configurations_of_different_grids_meet_on_the_images_own(
    make_model: MakeModel, configuration: Configure, volume: Volume
) -> None:
    own, fine = configuration("2d_unet"), configuration("3d_unet_iso", 3, patch=(4, 16, 16), spacing_mm=1.0)
    fine = fine.model_copy(update={"preprocessing": fine.preprocessing.model_copy(update={"slice_spacing_mm": 1.0})})
    folder = make_model((own, fine))
    best = read_model(folder)
    each = [
        predict_case(load_network(folder, best, m), volume, best.configurations[m.configuration])[1]
        for m in best.members
    ]
    found = Predictor.load(folder).predict(volume, probabilities=True)
    assert found.probabilities is not None and found.probabilities.shape[1:] == volume.array.shape
    np.testing.assert_allclose(found.probabilities, (each[0] + each[1]) / 2, atol=1e-3)
    assert np.abs(each[0] - each[1]).max() > 0.01


def test_members_that_preprocess_alike_share_the_image(
    make_model: MakeModel, configuration: Configure, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = (configuration("a"), configuration("b"), configuration("c", spacing_mm=2.0))
    predictor = Predictor.load(make_model(same, folds=2))
    calls = []
    real = members.preprocess_image
    monkeypatch.setattr(members, "preprocess_image", lambda *given: calls.append(1) or real(*given))
    predictor.predict(volume)
    assert len(calls) == 2


def test_array_file_and_volume_give_the_same_bits(make_model: MakeModel, cine: Volume, tmp_path: Path) -> None:
    predictor = Predictor.load(make_model())
    path = tmp_path / "cine.nii.gz"
    write_image(path, cine)
    assert read_image(path).is_cine
    expected = predictor.predict(cine).labels
    np.testing.assert_array_equal(predictor.predict_file(path).labels, expected)
    before = cine.array.copy()
    np.testing.assert_array_equal(predictor.predict(cine.array, SPACING).labels, expected)
    np.testing.assert_array_equal(cine.array, before)
    strided = np.asfortranarray(cine.array.astype(np.float64))
    np.testing.assert_array_equal(predictor.predict(strided, SPACING).labels, expected)


def test_a_slice_and_a_frame_come_back_in_their_own_shape(make_model: MakeModel, volume: Volume) -> None:
    predictor = Predictor.load(make_model())
    frame = predictor.predict(volume.array, SPACING, probabilities=True)
    assert frame.labels.shape == (3, 22, 26)
    slice_ = predictor.predict(volume.array[1], SPACING, probabilities=True)
    assert slice_.labels.shape == (22, 26)
    assert slice_.probabilities is not None and slice_.probabilities.shape == (4, 22, 26)
    np.testing.assert_array_equal(slice_.labels, predictor.predict(volume.array[1:2], SPACING).labels[0])


def test_an_array_is_z_y_x_even_if_z_has_the_finest_spacing(
    make_model: MakeModel, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(make_model())
    seen = []
    real = members.preprocess_image
    monkeypatch.setattr(members, "preprocess_image", lambda v, block: seen.append(v) or real(v, block))
    predictor.predict(volume.array, (1.0, 1.25, 1.5))
    assert seen[0].spacing_mm == (1.0, 1.25, 1.5) and seen[0].array.shape == (3, 22, 26)


@pytest.mark.parametrize("shape", [(26,), (1, 1, 1, 1, 1), (0, 4, 4)])
def test_a_wrong_array_is_told_the_layout(shape: tuple[int, ...], make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match=r"\(z, y, x\) for a frame, \(t, z, y, x\) for a cine"):
        Predictor.load(make_model()).predict(np.zeros(shape), SPACING)


@pytest.mark.parametrize("shape", [(26,), (1, 1, 1, 1, 1), (0, 4, 4)])
def test_a_wrong_array_with_an_affine_is_told_its_layout(shape: tuple[int, ...], make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match=r"\(i, j, k\) for a frame, \(i, j, k, t\) for a cine or \(i, j\) for a slice"):
        Predictor.load(make_model()).predict(np.zeros(shape), affine=np.eye(4))


def test_an_array_needs_one_grid_and_a_volume_has_its_own(make_model: MakeModel, volume: Volume) -> None:
    predictor = Predictor.load(make_model())
    for given, words in (({}, "neither"), ({"spacing_mm": SPACING, "affine": np.eye(4)}, "both")):
        with pytest.raises(ValueError, match=f"either spacing_mm, .* or affine, a .* matrix, got {words}"):
            predictor.predict(volume.array, **given)
    with pytest.raises(ValueError, match="has its own grid"):
        predictor.predict(volume, SPACING)
    for affine in (np.eye(3), np.full((4, 4), np.nan), np.zeros((4, 4))):
        with pytest.raises(ValueError, match=r"\(4, 4\)|positive spacing"):
            predictor.predict(volume.array, affine=affine)
    with pytest.raises(ValueError, match="of numbers"):
        predictor.predict(np.full((3, 4, 4), "a"), SPACING)


def test_an_array_with_an_affine_gets_what_its_file_gets(
    make_model: MakeModel, configuration: Configure, cine: Volume, tmp_path: Path
) -> None:
    predictor = Predictor.load(make_model((configuration("2d_unet"), configuration("2d_other")), folds=2))
    affine = np.array([[0, 1.25, 0, 3.0], [-1.5, 0, 0, 9.0], [0, 0, -8.0, 5.0], [0, 0, 0, 1]])  # turned and flipped
    geometry = Geometry.from_affine(affine, (26, 22, 3))
    stored = Volume(array=geometry.to_canonical(np.moveaxis(cine.array, 0, 3).transpose(2, 1, 0, 3)), geometry=geometry)
    write_image(tmp_path / "cine.nii", stored)
    array = np.asarray(nib.load(tmp_path / "cine.nii").dataobj)
    assert array.shape == (26, 22, 3, 4)
    file = predictor.predict_file(tmp_path / "cine.nii", probabilities=True)
    found = predictor.predict(array, affine=affine, probabilities=True)
    assert found.labels.shape == array.shape and len(np.unique(found.labels)) > 1
    np.testing.assert_array_equal(found.labels, geometry.to_file(file.labels))
    assert file.probabilities is not None and found.probabilities is not None
    assert found.probabilities.shape == (4, *array.shape) and found.probabilities.dtype == np.float16
    for channel in range(4):
        np.testing.assert_array_equal(found.probabilities[channel], geometry.to_file(file.probabilities[:, channel]))
    frame = predictor.predict(array[..., 2], affine=affine.tolist(), probabilities=True)
    np.testing.assert_array_equal(frame.labels, found.labels[..., 2])
    np.testing.assert_array_equal(frame.probabilities, found.probabilities[..., 2])
    one = predictor.predict(array[..., 2:3], affine=affine)
    np.testing.assert_array_equal(one.labels, found.labels[..., 2:3])
    slice_ = predictor.predict(array[:, :, 1, 0], affine=affine, probabilities=True)
    assert slice_.labels.shape == (26, 22) and slice_.probabilities is not None
    assert slice_.probabilities.shape == (4, 26, 22)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_a_wrong_spacing_is_told_the_layout(
    spacing: tuple[float, float, float], make_model: MakeModel, volume: Volume
) -> None:
    with pytest.raises(ValueError, match=r"three positive numbers \(z, y, x\)"):
        Predictor.load(make_model()).predict(volume.array, spacing)


def test_a_bad_frame_is_named(make_model: MakeModel, cine: Volume) -> None:
    array = cine.array.copy()
    array[2, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="frame 3 of 4"):
        Predictor.load(make_model()).predict(Volume(array=array, geometry=cine.geometry))


def test_postprocessing_is_applied_and_counted_and_can_be_left_out(make_model: MakeModel, volume: Volume) -> None:
    steps = (Step(name="largest_foreground"), Step(name="largest_component", structure="lv_cavity"))
    folder = make_model(postprocessing=steps)
    raw = Predictor.load(folder, postprocess=False).predict(volume)
    assert raw.changed_voxels == ()
    labels, changed = apply_steps(raw.labels, steps, ("lv_cavity", "lv_myocardium", "rv_cavity"), volume.spacing_mm)
    assert sum(changed) > 0
    found = Predictor.load(folder).predict(volume)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.changed_voxels == changed


def test_members_can_be_picked(make_model: MakeModel, configuration: Configure, volume: Volume) -> None:
    folder = make_model((configuration("2d_unet"), configuration("2d_other")), folds=3)
    best = read_model(folder)
    member = best.members[4]
    assert (member.configuration, member.fold) == ("2d_other", 1)
    picked = Predictor.load(folder, configurations=["2d_other"], folds=[1]).predict(volume)
    labels, _ = predict_case(load_network(folder, best, member), volume, best.configurations["2d_other"])
    np.testing.assert_array_equal(picked.labels, labels)
    with pytest.raises(ModelError, match="no such member") as caught:
        Predictor.load(folder, folds=[4])
    assert "2d_other fold 2" in caught.value.remedy


def test_mirroring_is_refused_for_networks_that_never_saw_it(
    make_model: MakeModel, configuration: Configure, volume: Volume
) -> None:
    folder = make_model()
    with pytest.raises(ModelError, match="without mirroring"):
        Predictor.load(folder, mirror="on")
    with pytest.raises(ValueError, match="mirror must be"):
        Predictor.load(folder, mirror="yes")
    folder = make_model((configuration("2d_unet", mirror=True),))
    best = read_model(folder)
    network = load_network(folder, best, best.members[0])
    both = predict_case(network, volume, best.configurations["2d_unet"], mirror_axes=(-2, -1))
    np.testing.assert_array_equal(Predictor.load(folder, mirror="on").predict(volume).labels, both[0])
    plain = Predictor.load(folder, mirror="off").predict(volume, probabilities=True)
    assert plain.probabilities is not None
    assert np.abs(plain.probabilities - both[1]).max() > 1e-3
    np.testing.assert_array_equal(Predictor.load(folder).predict(volume).labels, plain.labels)


def test_the_precision_is_the_models_unless_another_is_asked_for(make_model: MakeModel, volume: Volume) -> None:
    folder = make_model()
    best = read_model(folder).model_copy(update={"precision": "bfloat16"})
    (folder / "best_config.json").write_text(best.to_json())
    network = load_network(folder, best, best.members[0])
    by_precision = {
        precision: predict_case(network, volume, best.configurations["2d_unet"], precision=precision)[1]
        for precision in ("float32", "bfloat16")
    }
    found = Predictor.load(folder).predict(volume, probabilities=True).probabilities
    np.testing.assert_array_equal(found, by_precision["bfloat16"].astype(np.float16))
    found = Predictor.load(folder, precision="float32").predict(volume, probabilities=True).probabilities
    np.testing.assert_array_equal(found, by_precision["float32"].astype(np.float16))


def test_the_weights_are_read_once_and_no_file_is_written(
    make_model: MakeModel, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    calls = []
    real = module.load_network
    monkeypatch.setattr(module, "load_network", lambda *given: calls.append(1) or real(*given))
    folder = make_model(folds=2)
    predictor = Predictor.load(folder)
    before = sorted(folder.rglob("*"))
    for _ in range(10):
        predictor.predict(volume)
    assert len(calls) == 2
    assert sorted(folder.rglob("*")) == before and not list(temporary.iterdir())


def test_memory_grows_with_the_frames_by_the_labels_only(make_model: MakeModel, stack: NDArray[np.float32]) -> None:
    predictor = Predictor.load(make_model())

    def peak_bytes(frames: int) -> int:
        cine = np.stack([stack] * frames)
        tracemalloc.start()
        predictor.predict(cine, SPACING)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(2)  # what is made once and kept
    growth = peak_bytes(42) - peak_bytes(2)
    assert 0 < growth < 1.5 * 40 * stack.size  # one byte per voxel of 40 more frames


def test_memory_does_not_grow_with_the_members(make_model: MakeModel, stack: NDArray[np.float32]) -> None:
    image = np.tile(stack, (1, 4, 4))

    def peak_bytes(predictor: Predictor) -> int:
        tracemalloc.start()
        predictor.predict(image, SPACING)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few, many = (Predictor.load(make_model(folds=folds, name=f"of_{folds}")) for folds in (2, 6))
    peak_bytes(few)  # what is made once and kept
    assert peak_bytes(many) < 1.05 * peak_bytes(few)


def test_threads_get_what_one_alone_gets(make_model: MakeModel, cine: Volume) -> None:
    predictor = Predictor.load(make_model(folds=2))
    alone = [predictor.predict(cine.frame(k)).labels for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: predictor.predict(cine.frame(k % 4)).labels, range(16)))
    for k, labels in enumerate(together):
        np.testing.assert_array_equal(labels, alone[k % 4])
    with ThreadPoolExecutor(4) as pool:  # arrays of several layouts and probabilities at once
        whole = pool.submit(predictor.predict, cine.array, SPACING, probabilities=True)
        frames = [pool.submit(predictor.predict, cine.array[k], SPACING, probabilities=True) for k in range(4)]
        for k in range(4):
            np.testing.assert_array_equal(whole.result().labels[k], alone[k])
            np.testing.assert_array_equal(whole.result().probabilities[k], frames[k].result().probabilities)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(DeviceError, match="cuda"):
        Predictor.load(make_model(), device="cuda")


def test_no_network_is_a_programmers_error(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="at least one network"):
        Predictor(read_model(make_model()), [], device=torch.device("cpu"))


def test_a_real_cine_frame_is_the_frame_alone(make_model: MakeModel, configuration: Configure, tmp_path: Path) -> None:
    folder = os.environ.get("AUTOLV_ACDC")
    if not folder:
        pytest.skip("AUTOLV_ACDC, the folder of ACDC's training patients, is not set")
    files = [Path(folder) / "patient001" / f"patient001_frame{n}.nii.gz" for n in ("01", "12")]
    frames = [read_image(file) for file in files]
    cine = Volume(array=np.stack([frame.array for frame in frames]), geometry=frames[0].geometry)
    path = tmp_path / "cine.nii.gz"
    write_image(path, cine)
    predictor = Predictor.load(make_model((configuration("2d_unet", patch=(64, 64)),)))
    whole = predictor.predict_file(path).labels
    assert whole.shape == (2, *frames[0].geometry.shape) and whole.any()
    for k, file in enumerate(files):
        np.testing.assert_array_equal(predictor.predict_file(file).labels, whole[k])

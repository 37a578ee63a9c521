"""An imported model predicts as nnU-Net does, written here a second time; what cannot be imported is told in a sentence."""

import json
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.transform import resize

from autolv.cli.import_nnunet import main
from autolv.core.errors import ModelError
from autolv.core.geometry import Geometry, Volume
from autolv.core.labels import LabelSchema
from autolv.imageio.volumes import read_labels, write_image
from autolv.inference.model_folder import read_model
from autolv.inference.predictor import Predictor
from autolv.pipeline.import_nnunet import import_nnunet
from autolv.pipeline.predict import predict

PATCH = {2: (16, 24), 3: (4, 16, 24)}


@pytest.fixture
def volume():
    """A stack (5, 26, 40) of 8 x 1.5 x 1.25 mm whose file runs from left to right and from front to back."""
    rng = np.random.default_rng(3)
    array = 100.0 + ndimage.gaussian_filter(rng.normal(size=(5, 26, 40)), (0, 2, 2)) * 400.0
    geometry = Geometry.from_affine(np.diag([-1.25, -1.5, 8.0, 1.0]), (40, 26, 5))
    stored = array.astype(np.float32).transpose()
    return Volume(array=geometry.to_canonical(stored), geometry=geometry)


def starts(size, side):
    count = int(np.ceil((size - side) / (side / 2))) + 1
    return [round(i * (size - side) / max(1, count - 1)) for i in range(count)]


def windowed(network, image, axes):
    """Logits (4, z, y, x) by windows of half a patch apart, each in all its mirrorings, weighted by a Gaussian."""
    dims = len(patch := PATCH[2 if network.flat else 3])
    missing = [max(0, side - n) for n, side in zip(image.shape, (1, *patch)[-3:], strict=True)]
    cut = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    image = np.pad(image, [(m // 2, m - m // 2) for m in missing])
    weight = np.zeros(patch)
    weight[tuple(n // 2 for n in patch)] = 1.0
    weight = ndimage.gaussian_filter(weight, [n / 8 for n in patch], mode="constant")
    weight = np.float16(10 * weight / weight.max())
    weight[weight == 0] = weight[weight > 0].min()
    total, sum_ = np.zeros((4, *image.shape), np.float16), np.zeros(image.shape, np.float16)  # rounded after each sum
    places = product(*(starts(n, side) for n, side in zip(image.shape[-dims:], patch, strict=True)))
    flips = [c for n in range(len(axes) + 1) for c in combinations([axis + 2 for axis in axes], n)]
    for place in places:
        inside = tuple(slice(a, a + n) for a, n in zip(place, patch, strict=True))
        for z in range(len(image)) if network.flat else (None,):
            where = (*((z,) if network.flat else ()), *inside)
            x = torch.from_numpy(np.ascontiguousarray(image[where]))[None, None].float()
            with torch.no_grad():
                logits = sum(network(x.flip(f)).flip(f) for f in flips)[0].numpy() / len(flips)
            total[(slice(None), *where)] = total[(slice(None), *where)] + logits * weight.astype(np.float32)
            sum_[where] += weight
    return (total / sum_)[(slice(None), *cut)]


def expected_labels(networks, stored, axes, shape):
    """nnU-Net's labels of a stored array (k, j, i), which its networks see on a grid of ``shape``."""
    image = (stored - stored.mean()) / stored.std()
    if shape != stored.shape:
        flat = np.stack([resize(s.astype(float), shape[1:], 3, mode="edge", anti_aliasing=False) for s in image])
        image = flat[((np.arange(shape[0]) + 0.5) * len(flat) / shape[0]).astype(int)]
    first, second = (windowed(network, image, axes) for network in networks)
    logits = (first + second) / np.float16(2)
    if shape != stored.shape:
        near = logits[:, ((np.arange(stored.shape[0]) + 0.5) * shape[0] / stored.shape[0]).astype(int)]
        logits = np.stack([
            [resize(s.astype(float), stored.shape[1:], 1, mode="edge", anti_aliasing=False) for s in one]
            for one in near
        ])  # fmt: skip
    return logits.astype(np.float16).argmax(0)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(
    ("dims", "axes", "slice_mm", "in_plane_mm", "shape"),
    [
        (2, (0, 1), None, [1.5, 1.25], (5, 26, 40)),
        (2, None, None, [1.3, 1.25], (5, 30, 40)),
        (3, (0, 1, 2), 8.0, [1.5, 1.25], (5, 26, 40)),
        (3, (2,), 5.0, [1.5, 1.1], (8, 26, 45)),  # 5 * 8 / 5 slices, 40 * 1.25 / 1.1 = 45.45 columns
        (3, (0,), 16.0, [3.0, 1.25], (2, 13, 40)),  # 2.5, to even; smaller than the patch
    ],
)
def test_labels_are_those_of_nnunet(
    dims, axes, slice_mm, in_plane_mm, shape, residual, make_reference, make_trained, volume, tmp_path
):
    networks = [make_reference(dims, residual=residual, seed=seed) for seed in (1, 2)]

    def change(plans, *_):
        (one,) = plans["configurations"].values()
        one["spacing"] = in_plane_mm if slice_mm is None else [slice_mm, *in_plane_mm]

    folder = make_trained(networks, dims, residual=residual, axes=axes, change=change)
    predictor = Predictor.load(import_nnunet(folder, "ACDC", root=tmp_path))
    found = LabelSchema(predictor.best.labels).to_file(predictor.predict(volume).labels)
    for network in networks:
        network.flat = dims == 2
    stored = np.asarray(volume.geometry.to_file(volume.array)).transpose()
    expected = expected_labels(networks, stored, axes or (), shape)
    on_canonical = volume.geometry.to_canonical(expected.transpose())
    shares = np.bincount(on_canonical.ravel(), minlength=4) / on_canonical.size
    assert (shares > 0.01).sum() >= 3  # or little could differ
    assert (found == on_canonical).mean() >= 0.9998  # a step of half precision may be missed


def test_all_folds_are_members_and_what_nnunet_does_otherwise_is_recorded(make_trained, make_reference, tmp_path):
    folder = make_trained([make_reference(3, seed=s) for s in range(3)], 3, axes=(0, 2))
    best = read_model(import_nnunet(folder, "ACDC", root=tmp_path, run="theirs"))
    assert [(m.configuration, m.fold) for m in best.members] == [("3d_unet_nnunet", f) for f in range(3)]
    assert best.labels == {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
    assert (best.located, best.precision) == (False, "float32")
    one = best.configurations["3d_unet_nnunet"]
    assert one.nnunet is not None
    assert (one.nnunet.transpose, one.nnunet.nonzero_only, one.nnunet.mirror_axes) == ((0, 1, 2), False, (-3, -1))
    assert one.preprocessing.slice_spacing_mm == 8.0
    assert (one.network.blocks, one.network.decoder_blocks) == ((1, 2, 2), (1, 2))
    only = read_model(import_nnunet(folder, "ACDC", root=tmp_path, run="one", folds=(1,)))
    assert [m.sha256 for m in only.members] == [best.members[1].sha256]


def test_of_equal_logits_the_lower_code_wins_whatever_it_means(make_trained, make_reference, volume, tmp_path):
    network = make_reference(2)
    head = network.decoder.seg_layers[-1]
    head.weight.data.zero_()
    head.bias.data.copy_(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    predictor = Predictor.load(import_nnunet(make_trained([network], 2), "ACDC", root=tmp_path))
    assert predictor.structures == ("lv_cavity", "lv_myocardium", "rv_cavity")
    found = predictor.predict(volume).labels
    assert (found == 3).all()  # the RV, nnU-Net's code 1


def test_mirroring_is_nnunets_own_unless_turned_off(make_trained, make_reference, volume, tmp_path):
    model = import_nnunet(make_trained([make_reference(2)], 2, axes=(0, 1)), "ACDC", root=tmp_path)
    by = {
        mirror: Predictor.load(model, mirror=mirror).predict(volume, probabilities=True).probabilities
        for mirror in ("auto", "on", "off")
    }
    np.testing.assert_array_equal(by["auto"], by["on"])
    assert np.abs(by["auto"] - by["off"]).max() > 0.05


def test_a_cine_and_probabilities(make_trained, make_reference, volume, tmp_path):
    predictor = Predictor.load(import_nnunet(make_trained([make_reference(2)], 2), "ACDC", root=tmp_path))
    cine = Volume(array=np.stack([volume.array, volume.array[:, ::-1]]), geometry=volume.geometry)
    found = predictor.predict(cine, probabilities=True)
    alone = predictor.predict(volume, probabilities=True)
    np.testing.assert_array_equal(found.labels[0], alone.labels)
    np.testing.assert_array_equal(found.probabilities[0], alone.probabilities)
    np.testing.assert_allclose(alone.probabilities.astype(np.float32).sum(axis=0), 1.0, atol=2e-3)
    assert not np.array_equal(found.labels[1], alone.labels)


def test_plans_from_before_nnunet_2_4_give_the_same_model(make_trained, make_reference, tmp_path):
    def older(plans, *_):
        one = plans["configurations"]["2d"]
        arguments = one.pop("architecture")["arch_kwargs"]
        one |= {
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 6, "unet_max_num_features": 12,
            "n_conv_per_stage_encoder": arguments["n_conv_per_stage"],
            "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
            "conv_kernel_sizes": arguments["kernel_sizes"], "pool_op_kernel_sizes": arguments["strides"],
            "num_pool_per_axis": [2, 2],
        }  # fmt: skip

    old, new = (
        read_model(import_nnunet(make_trained([make_reference(2)], 2, change=change), "ACDC", root=tmp_path, run=run))
        for run, change in (("old", older), ("new", lambda *_: None))
    )
    assert old.configurations == new.configurations
    assert [m.sha256 for m in old.members] == [m.sha256 for m in new.members]


def test_inherited_settings_count(make_trained, make_reference, tmp_path):
    def heir(plans, _dataset, checkpoint):
        plans["configurations"]["2d_small"] = {"inherits_from": "2d", "batch_size": 7}
        checkpoint["init_args"]["configuration"] = "2d_small"

    best = read_model(import_nnunet(make_trained([make_reference(2)], 2, change=heir), "ACDC", root=tmp_path))
    assert best.configurations["2d_unet_nnunet"].training.batch_size == 7


def test_folds_that_differ_are_refused(make_trained, make_reference, tmp_path):
    mirrored = iter([(0, 1), (1,)])

    def change(_plans, _dataset, checkpoint):
        checkpoint["inference_allowed_mirroring_axes"] = next(mirrored)

    folder = make_trained([make_reference(2)] * 2, 2, change=change)
    with pytest.raises(ModelError, match=r"fold 1 of .* is of another configuration than fold 0"):
        import_nnunet(folder, "ACDC", root=tmp_path)
    best = read_model(import_nnunet(folder, "ACDC", root=tmp_path, folds=(1,)))
    assert best.configurations["2d_unet_nnunet"].nnunet.mirror_axes == (-1,)


def _set(path, value):
    def change(*documents):
        which, *keys = path
        place = documents[("plans", "dataset", "checkpoint").index(which)]
        for key in keys[:-1]:
            place = place["configurations"]["2d"] if key == "2d" else place[key]
        place[keys[-1]] = value

    return change


ARCH = ("plans", "2d", "architecture", "arch_kwargs")
REFUSED = {
    "regions": (_set(("dataset", "labels"), {"background": 0, "whole": [1, 2, 3], "LVC": 3}), "is a region"),
    "channels": (_set(("dataset", "channel_names"), {"0": "a", "1": "b"}), "takes 2 channels, autolv takes one"),
    "other labels": (_set(("dataset", "labels"), {"background": 0, "liver": 1}), "--labels rv_cavity=1"),
    "a gap": (_set(("dataset", "labels"), {"background": 0, "LVC": 2}), "leave a gap"),
    "cascade": (_set(("plans", "2d", "previous_stage"), "3d_lowres"), "cascade"),
    "reader": (_set(("plans", "image_reader_writer"), "NibabelIOWithReorient"), "NibabelIOWithReorient"),
    "CT": (_set(("plans", "2d", "normalization_schemes"), ["CTNormalization"]), "normalises by CTNormalization"),
    "resampling": (_set(("plans", "2d", "resampling_fn_data"), "resample_torch_fornnunet"), "resampling_fn_data"),
    "separate": (_set(("plans", "2d", "resampling_fn_data_kwargs", "force_separate_z"), True), "force_separate_z"),
    "architecture": (_set(("plans", "2d", "architecture", "network_class_name"), "a.b.Primus"), "is a Primus"),
    "norm": (_set((*ARCH, "norm_op"), "torch.nn.modules.batchnorm.BatchNorm2d"), "norm_op"),
    "nonlin": (_set((*ARCH, "nonlin"), "torch.nn.ReLU"), "nonlin"),
    "slope": (_set((*ARCH, "nonlin_kwargs"), {"negative_slope": 0.1}), "not as nnU-Net's planner"),
    "unknown argument": (_set((*ARCH, "squeeze_excitation"), True), "squeeze_excitation"),
    "width": (_set((*ARCH, "features_per_stage"), [6, 10, 12]), "the plans' network has"),
    "configuration": (_set(("checkpoint", "init_args"), {"configuration": "3d_fullres"}), "3d_fullres is not there"),
    "code": (_set(("checkpoint", "logging"), np.random.default_rng(0)), "would run code"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_imported_is_told_in_a_sentence(what, make_trained, make_reference, tmp_path, capsys):
    change, message = REFUSED[what]
    folder = make_trained([make_reference(2)], 2, change=change)
    assert main([str(folder), "-d", "ACDC", "--root", str(tmp_path), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and "what to do:" in told and message in told
    assert "Traceback" not in told and len(told.splitlines()) == 2
    assert not (tmp_path / "results").exists()


def test_folders_and_folds_that_are_not_there(make_trained, make_reference, tmp_path, capsys):
    flags = ["-d", "ACDC", "--root", str(tmp_path), "--quiet"]
    assert main([str(tmp_path / "none"), *flags]) == 2
    assert "it has no plans.json" in capsys.readouterr().err
    folder = make_trained([make_reference(2)], 2)
    assert main([str(folder), *flags, "-f", "4"]) == 2
    assert "has no fold_4/checkpoint_final.pth" in capsys.readouterr().err
    assert main([str(folder), *flags, "--checkpoint", "best"]) == 2
    assert "checkpoint_best.pth" in capsys.readouterr().err
    assert main([str(folder), *flags]) == 0
    assert main([str(folder), *flags]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([str(folder), *flags, "--overwrite"]) == 0


def test_labels_that_have_other_names_are_mapped_and_files_get_the_models_codes(
    make_trained, make_reference, volume, tmp_path
):
    names = _set(("dataset", "labels"), {"background": 0, "blood right": 1, "wall": 2, "blood left": 3, "ignore": 4})
    folder = make_trained([make_reference(2)], 2, change=names)
    codes = "rv_cavity=1,lv_myocardium=2,lv_cavity=3"
    assert main([str(folder), "-d", "ACDC", "--root", str(tmp_path), "--labels", codes, "--quiet"]) == 0
    write_image(tmp_path / "case_0000.nii.gz", volume)
    predict(tmp_path / "case_0000.nii.gz", tmp_path / "out", dataset="ACDC", root=tmp_path, device="cpu")
    (file,) = (tmp_path / "out").glob("*.nii.gz")
    labels = read_labels(file).array
    predictor = Predictor.load(tmp_path / "results" / "ACDC" / "default" / "model")
    expected = LabelSchema({"rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3}).to_file(
        predictor.predict(volume).labels
    )
    assert set(np.unique(labels)) > {0, 1}
    np.testing.assert_array_equal(labels, expected)
    assert main([str(folder), "-d", "B", "--root", str(tmp_path), "--labels", "lv_cavity=3", "--quiet"]) == 2


def test_the_record_survives_the_disk(make_trained, make_reference, tmp_path):
    folder = import_nnunet(make_trained([make_reference(2)], 2, axes=(0,)), "ACDC", root=tmp_path)
    stored = json.loads((folder / "best_config.json").read_text(encoding="utf-8"))
    assert stored["configurations"]["2d_unet_nnunet"]["nnunet"] == {
        "transpose": [0, 1, 2], "nonzero_only": False, "mirror_axes": [-2],
    }  # fmt: skip

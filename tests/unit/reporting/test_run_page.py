"""The page of a fold and its picture of patches: whole in themselves, true to the records, safe with odd names."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from autolv.reporting.pages import run_page
from autolv.reporting.patches import patches_figure
from autolv.schema.plan import Configuration, Network, Preprocessing, Training
from autolv.schema.results import Evaluation, Measured, RunChoices, RunRecord

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _record() -> RunRecord:
    network = Network(
        architecture="unet", patch=(16, 24), in_channels=1, classes=4, features=(4, 8), kernels=((3, 3),) * 2,
        strides=((1, 1), (2, 2)), blocks=(1, 1), decoder_blocks=(1,), heads=1,
    )  # fmt: skip
    training = Training(
        batch_size=3, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.002,
        weight_decay=0.0, momentum=0.9, warmup_fraction=0.0, schedule="cosine", gradient_clip=1.0,
        augmentation="upright", mirror=True, heart_fraction=0.5, epochs=1, iterations_per_epoch=9,
        expected_memory_gb=0.1, expected_minutes=0.1,
    )  # fmt: skip
    block = Preprocessing(
        in_plane_spacing_mm=(1.5, 1.5), slice_spacing_mm=None, normalisation="zscore", image_order=3, label_order=1,
        crop_to_nonzero=True,
    )  # fmt: skip
    configuration = Configuration(name="2d_unet", preprocessing=block, network=network, training=training, reasons={})
    return RunRecord(
        dataset="A<b>&C", run="default", fold=2, configuration=configuration, labels={}, structures=STRUCTURES,
        choices=RunChoices(plan_hash="0", splits_hash="1", seed=0, epochs=None, time_budget_minutes=12.0),
        train_patients=("a", "b"), validation_patients=("c",), versions={"autolv": "0.1.0"},
        measured=Measured(device="cpu", device_name="x", threads=2, precision="bfloat16", channels_last=False,
                          compiled=True, seconds_per_iteration=0.4, epochs=3, iterations_per_epoch=10, trial={}),
        status="validated", minutes=11.74,
    )  # fmt: skip


def _evaluation() -> Evaluation:
    return Evaluation(
        cases=(), mean_dice=0.8967, summary={"lv_cavity": {"dice": 0.931, "hd95_mm": 4.567, "assd_mm": float("nan")}},
        by_phase={}, by_group={}, by_level={}, undefined={}, agreement={}, dice_interval={"lv_cavity": (0.91, 0.95)},
    )  # fmt: skip


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def _read(page: str) -> _Text:
    text = _Text()
    text.feed(page)
    return text


def test_the_page_says_what_the_records_say() -> None:
    page = run_page(_record(), _evaluation(), ())
    rows = _read(page).rows
    assert ["patients", "2 to train on, 1 to validate with"] in rows
    assert ["network", "unet, patch 16 x 24, channels 4, 8"] in rows
    assert ["length", "3 epochs of 10 iterations, 11.7 min"] in rows
    assert ["machine", "x, 2 threads, bfloat16, contiguous, compiled"] in rows
    assert ["LV cavity", "0.931", "0.910 to 0.950", "4.57", "-"] in rows
    assert rows[-1] == ["mean", "0.897", "", "", ""]
    assert ["state", "trained and validated"] in rows and "refresh" not in page
    assert "A<b>" not in page and "A&lt;b&gt;&amp;C" in page


def test_the_page_tells_the_rate_of_a_step_and_the_share_of_waiting_where_they_are_known() -> None:
    record = _record()
    rated = {"step_gflops": 268.0, "matmul_gflops": {"float32": 190.0, "bfloat16": 400.0}, "data_share": 0.0123}
    measured = record.measured.model_copy(update=rated)
    rows = _read(run_page(record.model_copy(update={"measured": measured}), _evaluation(), ())).rows
    assert ["step", "268 GFLOP/s in convolutions, 0.67 of the rate of a matrix product on this machine"] in rows
    assert ["data", "1.2 % of the training time"] in rows
    assert not {"step", "data"} & {row[0] for row in _read(run_page(record, _evaluation(), ())).rows}


def test_the_page_of_a_run_under_way_says_so_and_is_loaded_again() -> None:
    page = run_page(_record().model_copy(update={"status": "training", "minutes": 0.0}), None, ())
    rows = _read(page).rows
    assert ["length", "3 epochs of 10 iterations"] in rows
    assert any(row[0] == "state" and row[1].startswith("in training") for row in rows)
    assert '<meta http-equiv="refresh" content="60">' in page and "Validation" not in page


def test_the_page_asks_for_nothing_and_leaves_out_pictures_that_are_not_there(tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    patches_figure(np.zeros((1, 8, 8)), np.zeros((1, 8, 8), dtype=np.int64), ["c"], picture, STRUCTURES)
    page = run_page(_record(), None, [("Seen", "a note", picture), ("Not there", "x", tmp_path / "none.png")])
    addresses = _read(page).addresses
    assert len(addresses) == 1 and addresses[0].startswith("data:image/png;base64,iVBOR")
    assert "Not there" not in page and "Validation" not in page
    assert not re.search(r"<script|https?:", page)


@pytest.mark.parametrize("depth", [None, 3])
def test_patches_are_drawn_with_the_outlines_of_their_labels(tmp_path: Path, depth: int | None) -> None:
    shape = (7, 20, 30) if depth is None else (7, depth, 20, 30)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    labels = np.zeros(shape, dtype=np.int64)
    middle = labels if depth is None else labels[:, 1]
    middle[:, 5:15, 8:22] = 1
    patches_figure(images, labels, [f"case{i}" for i in range(7)], tmp_path / "p.png", STRUCTURES)
    pixels = imread(tmp_path / "p.png")[..., :3]
    orange = np.abs(pixels - np.array([0xE6, 0x9F, 0x00]) / 255).max(axis=-1) < 0.1
    assert orange.any(axis=0).sum() > 0.3 * pixels.shape[1]  # six boxes across, and the seventh below
    assert orange[: pixels.shape[0] // 2].any() and orange[pixels.shape[0] // 2 :].any()


def test_patches_need_a_name_each(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names"):
        patches_figure(np.zeros((2, 8, 8)), np.zeros((2, 8, 8), dtype=np.int64), ["c"], tmp_path / "p.png", STRUCTURES)

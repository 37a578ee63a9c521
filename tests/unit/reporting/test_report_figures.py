"""Figures: files that are pictures of the right size, for short, long, odd and empty input."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from autolv.reporting import figures
from autolv.reporting.figures import overlay_figure, progress_figure

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _pixels(path):
    """Read a PNG without pyplot."""
    from matplotlib.image import imread

    return imread(path)


def _history(epochs):
    return [
        {
            "epoch": float(e), "iteration": 10.0 * e, "loss": 1.0 / e, "learning_rate": 1e-3 / e, "seconds": 2.0,
            "dice_lv_cavity": 1 - 1 / (e + 1), "dice_rv_cavity": math.nan,
        }
        for e in range(1, epochs + 1)
    ]  # fmt: skip


def _heart(slices=3, height=40, width=50):
    labels = np.zeros((slices, height, width), dtype=np.uint8)
    labels[1:, 10:30, 12:32] = 2
    labels[1:, 14:26, 16:28] = 1
    image = np.random.default_rng(0).normal(100, 20, labels.shape).astype(np.float32) + 50 * labels
    return image, labels


@pytest.mark.parametrize("epochs", [0, 1, 60])
def test_progress_is_drawn_for_any_length(tmp_path, epochs) -> None:
    path = tmp_path / "new" / "progress.png"
    progress_figure(_history(epochs), path)
    assert _pixels(path).shape[:2] == (858, 1300)
    assert [p.name for p in path.parent.iterdir()] == ["progress.png"]  # no temporary file stays


def test_progress_shows_the_structure_s_colour(tmp_path) -> None:
    progress_figure(_history(30), tmp_path / "p.png")
    pixels = _pixels(tmp_path / "p.png")[..., :3]
    orange = np.array([0xE6, 0x9F, 0x00]) / 255
    assert (np.abs(pixels - orange).max(axis=-1) < 0.02).sum() > 200


def test_overlay_draws_labelled_slices_only(tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure))
    image, labels = _heart()
    overlay_figure(image, labels, None, tmp_path / "o.png", STRUCTURES)
    (figure,) = drawn
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["slice 2", "slice 3"]
    # per slice: the wall's outer and inner contour, and the cavity's
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]
    assert figure.axes[0].get_images()[0].get_array().shape[0] < 40  # cut about the heart


def test_overlay_contours_lie_between_pixels(tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure))
    labels = np.zeros((1, 12, 12), dtype=np.uint8)
    labels[0, 0:4, 5:8] = 1  # touches the upper border
    overlay_figure(np.zeros_like(labels, dtype=np.float32), labels, None, tmp_path / "o.png", ("lv_cavity",))
    (line,) = drawn[0].axes[0].lines
    x, y = line.get_data()
    window = drawn[0].axes[0].get_images()[0].get_array().shape
    assert window == (12, 12)
    assert (min(x), max(x), min(y), max(y)) == (4.5, 7.5, -0.5, 3.5)


def test_overlay_counts_reference_and_prediction(tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure))
    image, labels = _heart()
    before = image.copy(), labels.copy()
    reference = np.roll(labels, 1, axis=0)  # slices 1 and 3
    overlay_figure(image, labels, reference, tmp_path / "o.png", STRUCTURES)
    assert [len(axes.lines) for axes in drawn[0].axes] == [2, 3, 5]  # the reference: 2 outlines
    assert len(drawn[0].legends[0].get_texts()) == 4
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("slices", [1, 40])
def test_overlay_of_few_and_many_slices_and_of_nothing(tmp_path, slices) -> None:
    image = np.zeros((slices, 20, 20), dtype=np.int16)  # constant: no window of intensities
    overlay_figure(image, np.zeros_like(image, dtype=np.uint8), None, tmp_path / "o.png", STRUCTURES)
    across = min(5, slices)
    assert _pixels(tmp_path / "o.png").shape[1] == pytest.approx(across * 2.4 * 130, abs=1)


def test_overlay_of_arrays_that_do_not_fit_is_refused(tmp_path) -> None:
    image, labels = _heart()
    with pytest.raises(ValueError, match="one shape"):
        overlay_figure(image, labels[:2], None, tmp_path / "o.png", STRUCTURES)
    assert list(tmp_path.iterdir()) == []


def test_importing_figures_loads_no_matplotlib() -> None:
    code = "import sys, autolv.reporting.figures; sys.exit('matplotlib' in sys.modules or 'skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_pyplot_alone(tmp_path) -> None:
    code = (
        "import sys; from pathlib import Path; from autolv.reporting.figures import progress_figure; "
        f"progress_figure([], Path({str(tmp_path / 'p.png')!r})); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

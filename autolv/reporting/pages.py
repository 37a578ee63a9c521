"""Pages of HTML that hold everything in themselves: no script, no request, pictures as part of the text."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from autolv.reporting._text import interval, label_of, number
from autolv.schema.results import Evaluation, Measured, RunRecord

_STATES = {
    "training": "in training; this page is written about once a minute",
    "trained": "trained; its validation patients are being predicted",
    "validated": "trained and validated",
}
_RELOAD = '<meta http-equiv="refresh" content="60">'
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
td + td, th + th { font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; background: white; } p.note { color: GrayText; }
"""


def run_page(record: RunRecord, evaluation: Evaluation | None, pictures: Sequence[tuple[str, str, Path]]) -> str:
    """Return the page of one fold: what was trained, how it went, what it was shown, how it scored.

    While the fold is not finished the browser loads the page again every minute. ``pictures`` are a heading, a sentence
    and a PNG file each; those that are not there are left out.
    """
    title = f"{record.dataset}: {record.configuration.name}, fold {record.fold}"
    parts = [f"<h1>{html.escape(title)}</h1>", _table(_facts(record))]
    if evaluation is not None:
        parts += ["<h2>Validation patients, on their original grid</h2>", _scores(evaluation)]
    for heading, note, path in pictures:
        if path.is_file():
            parts += [
                f"<h2>{html.escape(heading)}</h2>",
                f'<p class="note">{html.escape(note)}</p>',
                _picture(path, heading),
            ]
    body = "\n".join(parts)
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    if record.status != "validated":
        head += _RELOAD
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    configuration, measured = record.configuration, record.measured
    network, training = configuration.network, configuration.training
    layout = "channels last" if measured.channels_last else "contiguous"
    minutes = "" if record.status == "training" else f", {record.minutes:.1f} min"
    return [
        ("run", record.run),
        ("state", _STATES[record.status]),
        ("patients", f"{len(record.train_patients)} to train on, {len(record.validation_patients)} to validate with"),
        ("network", f"{network.architecture}, patch {_times(network.patch)}, channels {', '.join(map(str, network.features))}"),
        ("training", f"{training.optimiser}, rate {training.learning_rate:g}, {training.schedule}, batch "
                     f"{training.batch_size}, augmentation {training.augmentation}"),
        ("length", f"{measured.epochs} epochs of {measured.iterations_per_epoch} iterations{minutes}"),
        ("machine", f"{measured.device_name}, {measured.threads} threads, {measured.precision}, {layout}"
                    f"{', compiled' if measured.compiled else ''}{' with CUDA graphs' if measured.graphs else ''}"),
        *_pace(measured),
        ("autolv", record.versions.get("autolv", "")),
    ]  # fmt: skip


def _pace(measured: Measured) -> list[tuple[str, str]]:
    """Return what a step reached of the machine's rate, and what was spent on waiting for data, as far as it is known."""
    facts = []
    if measured.step_gflops is not None and measured.matmul_share is not None:
        facts.append(("step", f"{measured.step_gflops:.0f} GFLOP/s in convolutions, {measured.matmul_share:.2f} of the rate "
                              "of a matrix product on this machine"))  # fmt: skip
    if measured.data_share is not None:
        facts.append(("data", f"{100.0 * measured.data_share:.1f} % of the training time"))
    return facts


def _scores(evaluation: Evaluation) -> str:
    head = ("", "Dice", "95 % interval", "HD95 [mm]", "ASSD [mm]")
    rows = [
        (
            label_of(name),
            number(values.get("dice", float("nan")), 3),
            interval(evaluation.dice_interval.get(name, (float("nan"), float("nan"))), 3),
            number(values.get("hd95_mm", float("nan")), 2),
            number(values.get("assd_mm", float("nan")), 2),
        )
        for name, values in evaluation.summary.items()
    ]
    return _table([*rows, ("mean", number(evaluation.mean_dice, 3), "", "", "")], head)


def _table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>")
    lines += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _picture(path: Path, text: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def _times(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))

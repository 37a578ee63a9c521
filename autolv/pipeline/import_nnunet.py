"""Recipe of ``autolv_import_nnunet``: a model trained by nnU-Net v2 becomes a model folder of ours."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import save_file

from autolv.core.errors import ModelError
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.inference.model_folder import describe_member, write_model
from autolv.inference.nnunet_checkpoint import our_weights, read_checkpoint
from autolv.pipeline.model import LICENCE_NOTE
from autolv.pipeline.nnunet_plans import our_configuration, read_labels, read_plans
from autolv.pipeline.versions import versions
from autolv.schema.nnunet import NnunetPlans
from autolv.schema.plan import Configuration
from autolv.schema.results import BestConfig

_log = logging.getLogger(__name__)
_FOLD = re.compile(r"fold_(\d+)")
_NAN = float("nan")


def import_nnunet(
    folder: Path | str,
    dataset: str,
    *,
    run: str = "default",
    root: Path | str = ".",
    labels: Mapping[str, int] | None = None,
    folds: Sequence[int] | None = None,
    checkpoint: str = "final",
    overwrite: bool = False,
) -> Path:
    """Write and return the model folder of what nnU-Net has trained in ``folder``, all its folds (or ``folds``) as members.

    It stands where ``autolv_find_best_config`` writes for ``dataset`` and ``run``, where ``autolv_predict`` looks.
    ``labels`` say which structure each code is, where the names in ``dataset.json`` do not. Nothing in ``folder`` is executed.
    Raises ``ModelError`` for what is not such a folder, for a model that autolv cannot predict with as nnU-Net does, and
    where another model stands already, unless told to ``overwrite`` it.
    """
    source, target = Path(folder), Workspace.at(root).model(dataset, run)
    if target.exists() and not overwrite:
        raise ModelError(f"{target} is there already.", remedy="Name another --run, or replace it with --overwrite.")
    plans, schema = read_plans(source), read_labels(source, labels)
    files = _checkpoints(source, checkpoint, folds)
    with tempfile.TemporaryDirectory(prefix="autolv_") as place:
        configuration, weights = _write_weights(Path(place), plans, source, schema, files)
        best = _record(dataset, run, configuration, schema, weights, source=source, checkpoint=checkpoint)
        write_model(target, best, list(weights.values()))
    _log.info("%s: %s, %d members", target, configuration.name, len(best.members))
    return target


def _checkpoints(source: Path, name: str, folds: Sequence[int] | None) -> dict[int, Path]:
    """Return the checkpoint of each fold; that of ``fold_all``, where there is no other, as fold 0."""
    numbered = [(_FOLD.fullmatch(place.name), place) for place in source.iterdir()]
    there = {int(match[1]): place / f"checkpoint_{name}.pth" for match, place in numbered if match}
    if not there:
        there = {0: source / "fold_all" / f"checkpoint_{name}.pth"}
    found = {fold: file for fold, file in sorted(there.items()) if file.is_file()}
    missing = sorted(set(folds or ()) - set(found))
    if missing or not found:
        which = f"fold_{missing[0]}" if missing else "fold_0, fold_1, ..."
        raise ModelError(
            f"{source} has no {which}/checkpoint_{name}.pth.",
            remedy="Name folds that are trained with -f, or --checkpoint best, or the folder that nnUNetv2_train has written.",
        )
    unfinished = sorted(set(there) - set(found))
    if unfinished and folds is None:
        _log.warning("left out: folds without checkpoint_%s.pth (%s)", name, ", ".join(map(str, unfinished)))
    return {fold: file for fold, file in found.items() if folds is None or fold in folds}


def _write_weights(
    place: Path, plans: NnunetPlans, source: Path, schema: LabelSchema, files: Mapping[int, Path]
) -> tuple[Configuration, dict[int, Path]]:
    """Write the weights of each fold to ``place``; return the configuration that all folds share, and the files."""
    channels = (0, *(schema.codes[name] for name in schema.structures))  # nnU-Net's output channel is the label's code
    found: dict[int, Configuration] = {}
    written: dict[int, Path] = {}
    for fold, file in files.items():
        one = read_checkpoint(file)
        configuration = found[fold] = our_configuration(
            plans, source, one.configuration, classes=len(channels), mirror_axes=one.mirror_axes, trainer=one.trainer
        )
        if configuration != found[min(files)]:
            raise ModelError(
                f"fold {fold} of {source} is of another configuration than fold {min(files)}.",
                remedy="Import the folds of one configuration with -f.",
            )
        written[fold] = place / f"{fold}.safetensors"
        save_file(our_weights(configuration.network, one.weights, channels), written[fold])
    return found[min(files)], written


def _record(
    dataset: str,
    run: str,
    configuration: Configuration,
    schema: LabelSchema,
    weights: Mapping[int, Path],
    *,
    source: Path,
    checkpoint: str,
) -> BestConfig:
    names = ", ".join(map(str, weights))
    return BestConfig(
        dataset=dataset,
        run=run,
        labels=dict(schema.codes),
        structures=schema.structures,
        configurations={configuration.name: configuration},
        members=tuple(describe_member(configuration.name, fold, file) for fold, file in weights.items()),
        postprocessing=(),
        candidates=(),
        chosen=configuration.name,
        reason=f"imported from nnU-Net's {source.name} (folds {names}, checkpoint_{checkpoint}); nothing was compared",
        score=_NAN,
        score_with_postprocessing=_NAN,
        cross_fitted_score=_NAN,
        folds_available=f"{configuration.name}: {names}",
        fingerprint_hash="",
        licence_note=LICENCE_NOTE,
        versions=versions(),
    )

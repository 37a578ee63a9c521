"""Self-configuring left-ventricle segmentation for short-axis cine cardiac MRI.

The functions are the commands: ``convert``, ``plan_and_preprocess``, ``train``, ``tune``, ``find_best_config``,
``import_nnunet``, ``predict``, ``evaluate`` and ``report``, with ``ReportOptions`` for what may be chosen of a report;
``Predictor`` segments arrays with a trained model folder. ``read_...``, ``explain`` and ``training_patches`` give what
there is to look at. Each is imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolv.imageio.volumes import read_image
    from autolv.inference.predictor import Predictor
    from autolv.pipeline.convert import convert
    from autolv.pipeline.evaluate import evaluate
    from autolv.pipeline.find_best_config import find_best_config
    from autolv.pipeline.import_nnunet import import_nnunet
    from autolv.pipeline.look import (
        read_case,
        read_dataset,
        read_fingerprint,
        read_fold,
        read_plan,
        read_preprocessed,
    )
    from autolv.pipeline.patches import training_patches
    from autolv.pipeline.plan_and_preprocess import plan_and_preprocess
    from autolv.pipeline.predict import predict
    from autolv.pipeline.report import report
    from autolv.pipeline.report_options import ReportOptions
    from autolv.pipeline.train import train
    from autolv.pipeline.tune import tune
    from autolv.planning.explain import explain

__version__ = "0.1.0"
__all__ = [
    "Predictor",
    "ReportOptions",
    "__version__",
    "convert",
    "evaluate",
    "explain",
    "find_best_config",
    "import_nnunet",
    "plan_and_preprocess",
    "predict",
    "read_case",
    "read_dataset",
    "read_fingerprint",
    "read_fold",
    "read_image",
    "read_plan",
    "read_preprocessed",
    "report",
    "train",
    "training_patches",
    "tune",
]

_HOMES = {
    "Predictor": "autolv.inference.predictor",
    "ReportOptions": "autolv.pipeline.report_options",
    "convert": "autolv.pipeline.convert",
    "evaluate": "autolv.pipeline.evaluate",
    "explain": "autolv.planning.explain",
    "find_best_config": "autolv.pipeline.find_best_config",
    "import_nnunet": "autolv.pipeline.import_nnunet",
    "plan_and_preprocess": "autolv.pipeline.plan_and_preprocess",
    "predict": "autolv.pipeline.predict",
    "read_case": "autolv.pipeline.look",
    "read_dataset": "autolv.pipeline.look",
    "read_fingerprint": "autolv.pipeline.look",
    "read_fold": "autolv.pipeline.look",
    "read_image": "autolv.imageio.volumes",
    "read_plan": "autolv.pipeline.look",
    "read_preprocessed": "autolv.pipeline.look",
    "report": "autolv.pipeline.report",
    "train": "autolv.pipeline.train",
    "training_patches": "autolv.pipeline.patches",
    "tune": "autolv.pipeline.tune",
}


def __getattr__(name: str) -> object:
    """Import a public name on its first use (PEP 562), so that ``import autolv`` and ``--help`` stay instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'autolv' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

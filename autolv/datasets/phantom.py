"""A short-axis cine phantom with analytic truth, and the converter that makes a dataset of them.

Published generators of cardiac phantoms are XCAT and MRXCAT (Wissmann 2014); this one needs numpy and scipy alone. Its
patients are written in ACDC's layout and go through ACDC's converter, so that they take the same way as real data.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from autolv.core.errors import DataError
from autolv.datasets import CONVERTERS, Converter, ConvertOptions
from autolv.datasets._phantom import Phantom, make_phantom
from autolv.datasets._phantom_setting import PhantomSpec
from autolv.datasets._phantom_tree import ACDC_CODES, MNMS_CODES, write_acdc_tree, write_patient
from autolv.datasets._staging import refuse_filled
from autolv.schema.dataset import ConversionReport

__all__ = [
    "ACDC_CODES", "MNMS_CODES", "Phantom", "PhantomConverter", "PhantomSpec", "make_phantom", "write_acdc_tree",
    "write_patient",
]  # fmt: skip
_FRAMES = 25


class PhantomConverter:
    """A dataset of phantoms; the source is the folder that keeps the patients in ACDC's layout, or ``-``."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Write ``options.patients`` phantoms (and ``options.test_patients`` of the test half) and convert them.

        A ``source`` other than ``-`` must be new or empty: the patients, with their cines and ``truth.json``, stay there.
        """

        def write(folder: Path, *, cines: bool) -> ConversionReport:
            write_acdc_tree(
                folder, patients=options.patients, test_patients=options.test_patients, seed=options.seed,
                preset=options.preset, frames=options.frames or _FRAMES, cines=cines, workers=options.workers,
            )  # fmt: skip
            return CONVERTERS.get("acdc").convert(folder, target, options)

        refuse_filled(target, overwrite=options.overwrite)
        if str(source) != "-":
            if source.exists() and (not source.is_dir() or any(source.iterdir())):
                raise DataError(
                    f"{source} exists already and is not an empty folder.",
                    remedy="Phantoms are made, not read: name a new folder to keep them in, or '-'.",
                )
            report = write(source, cines=True)
        else:
            with tempfile.TemporaryDirectory(prefix="autolv-phantom-") as folder:
                report = write(Path(folder), cines=False)
        return report.model_copy(update={"kind": "phantom", "source": str(source)})


PHANTOM: Converter = CONVERTERS.register("phantom")(PhantomConverter())

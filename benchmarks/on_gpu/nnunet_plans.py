"""The networks, patches and batches that nnU-Net 2.8.1 plans for ACDC, as configurations of autolv.

Read off its plans for 200 frames of ACDC's geometry. Its fifth head, which has no weight, is left out.
"""

from __future__ import annotations

from autolv.schema.plan import Configuration, Network, Preprocessing, Training

_IN_PLANE = ((1, 1), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2))
_ALONG_Z = (1, 1, 2, 2, 1, 1)
_HEADS = 4


def nnunet_plans(classes: int, preprocessing: Preprocessing) -> dict[str, Configuration]:
    """Return ``nnunet_2d`` and ``nnunet_3d`` for so many ``classes``, on whatever ``preprocessing`` gives."""
    flat = Network(
        architecture="unet", patch=(256, 224), in_channels=1, classes=classes, features=(32, 64, 128, 256, 512, 512),
        kernels=((3, 3),) * 6, strides=_IN_PLANE, blocks=(2,) * 6, decoder_blocks=(2,) * 5, heads=_HEADS,
    )  # fmt: skip
    deep = flat.model_copy(
        update={
            "patch": (20, 256, 224), "features": (32, 64, 128, 256, 320, 320),
            "kernels": ((1, 3, 3), *((3, 3, 3),) * 5),
            "strides": tuple((z, *plane) for z, plane in zip(_ALONG_Z, _IN_PLANE, strict=True)),
        }
    )  # fmt: skip
    return {
        name: Configuration(
            name=name, preprocessing=preprocessing, network=network, training=_training(batch), reasons={}
        )
        for name, network, batch in (("nnunet_2d", flat, 56), ("nnunet_3d", deep, 4))
    }


def _training(batch: int) -> Training:
    weights = [0.5**head for head in range(_HEADS)]
    return Training(
        batch_size=batch, loss="dice_ce", deep_supervision_weights=tuple(w / sum(weights) for w in weights),
        optimiser="sgd", learning_rate=0.01, weight_decay=3e-5, momentum=0.99, warmup_fraction=0.0, schedule="poly",
        gradient_clip=12.0, augmentation="nnunet", mirror=True, heart_fraction=0.33, epochs=1000,
        iterations_per_epoch=250, expected_memory_gb=0.0, expected_minutes=0.0,
    )  # fmt: skip

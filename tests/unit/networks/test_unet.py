import torch
from torch import nn

from autolv.networks import build_network
from autolv.networks.unet import paper_form_2d, paper_form_3d


def _on_meta(network, batch=1):
    """The network and its stages' shapes, without doing the arithmetic."""
    with torch.device("meta"):
        module = build_network(network)
        x = torch.empty(batch, network.in_channels, *network.patch)
    return module, x


def test_ronneberger_2015_channels_and_shapes():
    module, x = _on_meta(paper_form_2d())
    # figure 1 of Ronneberger 2015, with padded convolutions: 512, 256, 128, 64, 32 pixels, 64 to 1024 channels
    stages = [(1, 64, 512, 512), (1, 128, 256, 256), (1, 256, 128, 128), (1, 512, 64, 64), (1, 1024, 32, 32)]
    features = module.encode(x)
    assert [tuple(f.shape) for f in features] == stages
    assert [tuple(f.shape) for f in module.decode(features)] == stages[:-1]
    assert [tuple(o.shape) for o in module(x)] == [(1, 2, 512, 512)]


def test_ronneberger_2015_has_23_convolutional_layers():
    # "In total the network has 23 convolutional layers", section 2: 18 of 3 x 3, 4 up-convolutions, 1 of 1 x 1
    module, _ = _on_meta(paper_form_2d())
    kernels = [m.kernel_size for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(kernels) == 23
    assert [kernels.count((k, k)) for k in (3, 2, 1)] == [18, 4, 1]


def test_ronneberger_2015_parameters():
    module, _ = _on_meta(paper_form_2d())
    down = 1 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2 + 512 * 1024 + 1024**2
    up = 1024 * 512 + 512**2 + 512 * 256 + 256**2 + 256 * 128 + 128**2 + 128 * 64 + 64**2
    transposed = 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 64
    weights = 9 * (down + up) + 4 * transposed + 64 * 2
    assert weights == 31_023_808
    biases = (512 + 256 + 128 + 64) + 2
    norms = 2 * (2 * (64 + 128 + 256 + 512 + 1024) + 2 * (512 + 256 + 128 + 64))
    assert sum(p.numel() for p in module.parameters()) == weights + biases + norms


def test_nnunet_channels_and_shapes():
    # Isensee 2021: 32 features, doubled per stage, at most 320 in 3D; a patch of 128 goes down to 4 voxels
    module, x = _on_meta(paper_form_3d(), batch=2)
    features = module.encode(x)
    assert [f.shape[1] for f in features] == [32, 64, 128, 256, 320, 320]
    assert [f.shape[2] for f in features] == [128, 64, 32, 16, 8, 4]
    assert [tuple(o.shape) for o in module(x)] == [(2, 4, n, n, n) for n in (128, 64, 32, 16)]


def test_nnunet_parameters():
    module, _ = _on_meta(paper_form_3d())
    down = 1 * 32 + 32**2 + 32 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 320 + 3 * 320**2
    up = 640 * 320 + 320**2 + 512 * 256 + 256**2 + 256 * 128 + 128**2 + 128 * 64 + 64**2 + 64 * 32 + 32**2
    transposed = 320 * 320 + 320 * 256 + 256 * 128 + 128 * 64 + 64 * 32
    weights = 27 * (down + up) + 8 * transposed
    heads = (32 + 64 + 128 + 256) * 4 + 4 * 4
    biases = 320 + 256 + 128 + 64 + 32
    norms = 2 * 2 * ((32 + 64 + 128 + 256 + 320 + 320) + (320 + 256 + 128 + 64 + 32))
    total = sum(p.numel() for p in module.parameters())
    assert total == weights + heads + biases + norms
    assert round(total / 1e6, 1) == 31.2  # million: nnU-Net's entry in table 1 of Roy 2023 (MedNeXt)


def test_the_skip_is_joined_after_the_upsampled_features():
    # decoder stage 0 sees features[0] upsampled channels first, then the skip's; silencing the latter's weights
    # must leave an output that does not depend on stage 0 of the encoder
    network = paper_form_2d().model_copy(
        update={
            "patch": (8, 8),
            "features": (2, 3),
            "kernels": ((3, 3),) * 2,
            "strides": ((1, 1), (2, 2)),
            "blocks": (1, 1),
            "decoder_blocks": (1,),
        }
    )
    torch.manual_seed(0)
    module = build_network(network)
    first = module.decoder[0][0]
    with torch.no_grad():
        first.weight[:, 2:] = 0.0
    skip, bottom = torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4, 4)
    (a,), (b,) = module.decode([skip, bottom]), module.decode([skip + 1.0, bottom])
    assert torch.equal(a, b)
    (c,) = module.decode([skip, bottom + torch.randn(1, 3, 4, 4)])
    assert not torch.equal(a, c)

"""Weights that others trained, in the backbones of networks."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision.models import resnet50, resnet101

from dfc2020_geo.models import NETWORKS, BaselineDeepLabV3Plus, build_network
from dfc2020_geo.tasks import LandCoverSegmentation


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's weights come in, with made-up values."""
    path = tmp_path_factory.mktemp('weights') / 'resnet101.pth'
    weights = resnet101().state_dict()
    torch.save({k: torch.rand_like(v.float()).to(v) for k, v in weights.items()}, path)
    return path


def test_all_of_the_backbone_but_its_first_convolution_is_loaded(
    imagenet: Path,
) -> None:
    network = build_network(
        'baseline-deeplabv3+', 12, 9, {'output_stride': 16}, str(imagenet)
    )
    assert isinstance(network, BaselineDeepLabV3Plus)
    given = torch.load(imagenet, weights_only=True)
    found = network.backbone.state_dict()
    assert found.pop('conv1.weight').shape == (64, 12, 7, 7)
    assert found.keys() == given.keys() - {'conv1.weight', 'fc.weight', 'fc.bias'}
    assert all(torch.equal(value, given[name]) for name, value in found.items())


def test_a_first_convolution_that_would_fit_stays_fresh(imagenet: Path) -> None:
    network = build_network(
        'baseline-deeplabv3+', 3, 9, {'output_stride': 16}, str(imagenet)
    )
    given = torch.load(imagenet, weights_only=True)['conv1.weight']
    fresh = network.state_dict()['backbone.conv1.weight']
    assert not torch.equal(fresh, given)
    # Normal with variance 2 / (7 * 7 * 64).
    assert fresh.std().item() == pytest.approx((2 / (7 * 7 * 64)) ** 0.5, rel=0.05)


def test_pretrained_weights_are_asked_for_as_torchvision_has_them(
    imagenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, **kwargs: Any) -> dict[str, torch.Tensor]:
        asked.append((url, kwargs['check_hash']))
        return torch.load(imagenet, weights_only=True)

    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', fetch)
    for weights in (True, 'ResNet101_Weights.IMAGENET1K_V1'):
        build_network('baseline-deeplabv3+', 12, 9, {'output_stride': 16}, weights)
    assert [url.rsplit('/', 1)[-1] for url, _ in asked] == [
        'resnet101-63fe2227.pth'
    ] * 2
    assert all(checked for _, checked in asked)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    path = tmp_path / 'resnet50.pth'
    torch.save(resnet50().state_dict(), path)
    with pytest.raises(
        ValueError,
        match=r'Expected the weights of a ResNet-101, got .*'
        r'resnet50\.pth with other layer3\.6\.conv1\.weight',
    ):
        build_network('baseline-deeplabv3+', 12, 9, {'output_stride': 16}, str(path))


@pytest.mark.parametrize('content', [b'', b'no weights', [1, 2], {'a': 1}])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: Any) -> None:
    path = tmp_path / 'weights.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r'Expected a state dict.*weights\.pth'):
        build_network('baseline-deeplabv3+', 12, 9, {'output_stride': 16}, str(path))


def test_unknown_weights_are_named() -> None:
    with pytest.raises(ValueError, match=r"got 'imagenet-22k', which is neither"):
        build_network(
            'baseline-deeplabv3+', 12, 9, {'output_stride': 16}, 'imagenet-22k'
        )


@pytest.mark.parametrize('argument', ['weights', 'freeze_backbone'])
def test_a_network_without_backbone_takes_nothing_for_one(argument: str) -> None:
    with pytest.raises(
        ValueError, match=rf"backbone for {argument}, got 'baseline-unet'"
    ):
        build_network('baseline-unet', 12, 9, **{argument: True})


@pytest.mark.parametrize('model', NETWORKS)
def test_no_network_takes_a_frozen_decoder(model: str) -> None:
    with pytest.raises(ValueError, match=r'Expected a network of torchgeo'):
        build_network(model, 12, 9, freeze_decoder=True)


def test_a_frozen_backbone_is_not_trained() -> None:
    network = build_network('baseline-deeplabv3+', 12, 9, freeze_backbone=True)
    trained = {
        n.split('.')[0] for n, p in network.named_parameters() if p.requires_grad
    }
    assert trained == {'aspp', 'decoder'}


def test_another_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match=r'one of \(16, 8\), got 32'):
        build_network('baseline-deeplabv3+', 12, 9, {'output_stride': 32})


def test_images_too_small_for_the_unet_are_refused() -> None:
    with pytest.raises(ValueError, match=r'at least 16 x 16 pixels .* got 15 x 40'):
        build_network('baseline-unet', 2, 9)(torch.rand(1, 2, 15, 40))


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"network of \('baseline-unet', .*got 'unet'"):
        build_network('unet', 12, 9)


def _refuse(*_: Any, **__: Any) -> None:
    raise URLError('no route to host')


@pytest.mark.parametrize('network', [{}, {'model': 'baseline-deeplabv3+'}])
def test_weights_that_cannot_be_fetched_end_in_what_to_do(
    network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('segmentation_models_pytorch.encoders.hf_hub_download', _refuse)
    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', _refuse)
    expected = r'got URLError .*no route to host.*model\.weights=null'
    with pytest.raises(OSError, match=expected):
        LandCoverSegmentation(weights=True, **network)


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (None, 'is none of them'),
        (b'', 'is damaged'),
        (b'no weights', 'is damaged'),
        ({'conv1.weight': torch.zeros(1)}, 'no checkpoint with a backbone'),
        ({'hyper_parameters': {}, 'state_dict': {}}, 'no checkpoint with a backbone'),
    ],
)
def test_weights_that_torchgeo_cannot_use_are_named(
    content: Any, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / 'backbone.ckpt'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    message = rf'got model\.weights=.*backbone\.ckpt, which .*{expected}'
    with pytest.raises(ValueError, match=message):
        LandCoverSegmentation(backbone='resnet18', weights=str(path))


def test_weights_for_other_bands_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = LandCoverSegmentation(['s2'], backbone='resnet18').model.encoder
    monkeypatch.setattr(
        'torchvision.models._api.load_state_dict_from_url',
        lambda *_, **__: theirs.state_dict(),
    )
    name = 'ResNet18_Weights.SENTINEL2_ALL_MOCO'
    LandCoverSegmentation(['s2'], backbone='resnet18', weights=name)
    with pytest.raises(
        ValueError, match=rf'{name}, which does not fit .*conv1\.weight'
    ):
        LandCoverSegmentation(['s1'], backbone='resnet18', weights=name)

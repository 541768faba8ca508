"""Pictures: which bands, which colours, which classes."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torchgeo.datasets import RGBBandsMissingError

from dfc2020_geo.bands import select_bands
from dfc2020_geo.classes import IGNORE_INDEX, SCHEMES, ClassScheme
from dfc2020_geo.datasets.plotting import (
    NODATA_COLOR,
    S1_RANGES,
    plot_patch,
    render_class_map,
    render_image,
)

RGB = select_bands(['s2-10m'])  # in file order: B02, B03, B04, B08
SAR = select_bands(['s1'])


def labels_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_red_green_and_blue_are_those_bands() -> None:
    image = np.zeros((4, 2, 2), dtype=np.uint16)
    for channel in range(4):
        image[channel].flat[channel] = 3000  # pixel i is bright in channel i only
    picture = render_image(image, RGB).reshape(4, 3)
    assert picture.argmax(axis=1)[:3].tolist() == [2, 1, 0]
    assert picture[3].tolist() == [0, 0, 0]  # B08 is not shown


def test_one_stretch_keeps_grey_grey() -> None:
    ramp = np.linspace(500, 3000, 64).reshape(8, 8)
    picture = render_image(np.stack(4 * [ramp]), RGB)
    assert (picture == picture[..., :1]).all()
    assert picture.min() == 0
    assert picture.max() == 255
    assert (np.diff(picture[..., 0].ravel().astype(int)) >= 0).all()


def test_a_few_bright_pixels_do_not_darken_the_rest() -> None:
    image = np.random.default_rng(0).uniform(500, 1500, (4, 50, 50))
    image[:, 0, :5] = 10_000
    assert 100 < render_image(image, RGB)[1:].mean() < 155


@pytest.mark.parametrize('value', [0, 1234])
def test_a_constant_image_is_grey(value: int) -> None:
    picture = render_image(np.full((4, 3, 5), value, dtype=np.uint16), RGB)
    assert picture.shape == (3, 5, 3)
    assert np.unique(picture).tolist() == [128]


def test_pixels_that_are_not_finite_are_black() -> None:
    image = np.random.default_rng(0).uniform(500, 1500, (4, 4, 4)).astype(np.float32)
    expected = render_image(image, RGB)
    image[1, 0, 0], image[2, 3, 3] = np.nan, np.inf
    picture = render_image(image, RGB)
    assert picture[0, 0].tolist() == picture[3, 3].tolist() == list(NODATA_COLOR)
    assert np.abs(picture[1:3].astype(int) - expected[1:3]).max() < 30


def test_an_image_of_nothing_is_black() -> None:
    assert not render_image(np.full((4, 3, 3), np.nan), RGB).any()
    assert not render_image(np.full((2, 3, 3), np.nan), SAR).any()


def test_sentinel_1_alone_is_false_colour_on_a_fixed_scale() -> None:
    (vv_low, vv_high), (vh_low, vh_high), (low, high) = S1_RANGES
    vv = np.array([[vv_low, vv_high, -10, np.nan]])
    vh = np.array([[vh_low, vh_high, -18, -18]])
    picture = render_image(np.stack([vv, vh]), SAR)
    ratio = ((vv - vh)[0, :3] - low) / (high - low)
    assert picture[0, :, 0].tolist()[:2] == [0, 255]
    assert picture[0, :, 1].tolist()[:2] == [0, 255]
    assert picture[0, :3, 2] == pytest.approx(255 * ratio.clip(0, 1), abs=1)
    assert picture[0, 3].tolist() == [0, 0, 0]


def test_true_colour_goes_before_false_colour() -> None:
    rng = np.random.default_rng(0)
    image = np.concatenate(
        [rng.uniform(0, 3000, (4, 5, 5)), rng.normal(-15, 4, (2, 5, 5))]
    )
    bands = select_bands(['s1', 's2-10m'])
    assert np.array_equal(render_image(image, bands), render_image(image[:4], RGB))


def test_a_tensor_renders_like_an_array() -> None:
    image = np.random.default_rng(0).uniform(0, 3000, (4, 5, 5)).astype(np.float32)
    picture = render_image(torch.from_numpy(image), RGB)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, render_image(image, RGB))


@pytest.mark.parametrize('names', [['s2-20m'], ['B02', 'B03'], ['VV']])
def test_bands_nobody_can_see_are_an_error(names: list[str]) -> None:
    bands = select_bands(names)
    with pytest.raises(RGBBandsMissingError):
        render_image(np.zeros((len(bands), 2, 2)), bands)


def test_channels_must_be_the_bands() -> None:
    with pytest.raises(ValueError, match='Expected 4 channels, got 3'):
        render_image(np.zeros((3, 2, 2)), RGB)


@pytest.mark.parametrize('scheme', SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_class_maps_have_the_colours_of_the_classes(scheme: ClassScheme) -> None:
    indices = np.array([[*range(len(scheme)), IGNORE_INDEX]])
    picture = render_class_map(indices, scheme)
    assert picture.dtype == np.uint8
    assert [tuple(color) for color in picture[0]] == [
        *(land_cover.color for land_cover in scheme.classes),
        NODATA_COLOR,
    ]


def test_no_data_looks_like_no_class() -> None:
    assert NODATA_COLOR not in [c.color for c in SCHEMES['dfc2020'].classes]


def test_an_index_outside_the_scheme_is_an_error() -> None:
    with pytest.raises(ValueError, match=r'indices of dfc2020-contest .*, got \[8\]'):
        render_class_map(np.array([[8]]), SCHEMES['dfc2020-contest'])


def test_the_legend_lists_what_occurs_in_any_map() -> None:
    scheme = SCHEMES['dfc2020-no-savanna']
    maps = {'Prediction': np.array([[8, 0]]), 'Mask': np.array([[2, 0]])}
    figure = plot_patch(None, maps, scheme)
    assert labels_of(figure) == ['Forest', 'Grassland', 'Water']
    colors = [patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()]
    expected = [scheme.classes[i].color for i in (0, 2, 8)]
    assert np.allclose(colors, np.array(expected) / 255)
    maps['Mask'][0, 0] = IGNORE_INDEX
    figure = plot_patch(None, maps, scheme)
    assert labels_of(figure) == ['Forest', 'Water', 'No data']
    no_data = figure.legends[0].get_patches()[-1]
    assert no_data.get_facecolor()[:3] == to_rgb('black')


def test_panels_and_titles() -> None:
    rgb = np.zeros((4, 4, 3), dtype=np.uint8)
    maps = {
        'Prediction': np.zeros((4, 4), dtype=int),
        'Mask': np.ones((4, 4), dtype=int),
    }
    scheme = SCHEMES['dfc2020']
    figure = plot_patch(rgb, maps, scheme, suptitle='p12', image_title='Sentinel-2')
    assert [axes.get_title() for axes in figure.axes] == [
        'Sentinel-2',
        'Prediction',
        'Mask',
    ]
    assert figure.get_suptitle() == 'p12'
    for axes, indices in zip(figure.axes[1:], maps.values(), strict=True):
        shown = axes.images[0].get_array()
        assert np.array_equal(shown, render_class_map(indices, scheme))
    figure = plot_patch(rgb, maps, scheme, show_titles=False)
    assert {axes.get_title() for axes in figure.axes} == {''}


def test_a_picture_alone_has_no_legend() -> None:
    figure = plot_patch(np.zeros((4, 4, 3), dtype=np.uint8), {}, SCHEMES['dfc2020'])
    assert len(figure.axes) == 1
    assert not figure.legends


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match='Expected a picture or class maps'):
        plot_patch(None, {}, SCHEMES['dfc2020'])


def test_figures_do_not_pile_up() -> None:
    plot_patch(None, {'Mask': np.zeros((4, 4), dtype=int)}, SCHEMES['dfc2020'])
    assert not matplotlib._pylab_helpers.Gcf.figs


def test_nothing_drawn_touches_the_edge_of_the_picture() -> None:
    scheme = SCHEMES['dfc2020']
    everything = np.array([[*range(10), IGNORE_INDEX]])
    figure = plot_patch(
        None, {'Mask': everything}, scheme, suptitle='ROIs0000_test_p12'
    )
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 > 0
    assert legend.x1 < figure.bbox.width
    assert figure.axes[0].get_window_extent().x1 <= legend.x0

"""Plots: what they show is what there is, on the pixels and in the numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

import surgeon as sg
from surgeon.diagrams.theme import DARK, LIGHT
from surgeon.errors import ModelError, RenderError, WeightNameError
from surgeon.partial import Part
from surgeon.plots import plot_depth, plot_drift, plot_mask
from surgeon.plots.depth import depth_figures
from surgeon.plots.drift import drift
from tests import zoo
from tests.diagrams.graphs import resnet, totals


def shown(figure):
    """Return the shares of the heat map."""
    (image,) = figure.axes[0].images
    return np.asarray(image.get_array())


def test_a_mask_shows_every_element():
    mask = np.random.default_rng(0).random((3, 3, 4, 6)) < 0.3
    figure = plot_mask(Part.mask(mask))
    assert np.array_equal(shown(figure), mask.reshape(36, 6))
    assert figure.axes[0].get_title(loc="left") == f"{mask.sum()} of 216 elements train"


def test_a_large_mask_shows_shares_that_add_up():
    mask = np.random.default_rng(0).random((2000, 700)) < 0.1
    shares = shown(plot_mask(Part.mask(mask)))
    assert max(shares.shape) <= 512
    assert shares.mean() == pytest.approx(mask.mean(), rel=0.02)


def test_the_mask_of_a_weight_in_a_model():
    model = sg.rewrite(zoo.cnn(), [sg.freeze("conv_1"), sg.train("hidden", kernel=sg.channels([1, 4]))])
    hidden = shown(plot_mask(model, "hidden/kernel"))
    assert hidden.all(axis=0).nonzero()[0].tolist() == [1, 4]
    assert hidden.sum() == 2 * hidden.shape[0]
    assert not shown(plot_mask(model, "conv_1/kernel")).any()
    assert shown(plot_mask(model, "predictions/kernel")).all()
    with pytest.raises(WeightNameError, match="close: 'hidden/kernel'"):
        plot_mask(model, "hiden/kernel")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_colours_on_the_pixels(theme, tmp_path):
    path = tmp_path / "mask.png"
    plot_mask(Part.slices((40, 40), 1, range(20)), path=path, theme=theme.name)
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3) / 255
    for color in (theme.frozen, theme.trainable, theme.background):
        assert (np.abs(pixels - to_rgb(color)).max(axis=1) < 0.01).mean() > 0.1


def test_depth_adds_up():
    graph = resnet(10, frozen=4)
    figure = plot_depth(graph)
    heights = {
        container.get_label(): [bar.get_height() for bar in container]
        for container in figure.axes[0].containers
    }
    assert np.sum(list(heights.values()), axis=0) == pytest.approx(1.0)
    frozen, trainable, _ = totals(graph)
    assert f"of {(frozen + trainable) / 1000:.2f}K params" in figure.axes[0].get_title(loc="left")
    assert heights["trainable"][0] == 0
    assert heights["frozen"][-1] == 0


def test_axes_name_the_layers_and_weights():
    model = sg.rewrite(zoo.mlp(), sg.freeze("dense_1"))
    (axes,) = plot_depth(model).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["dense_1", "dense_2", "head"]
    assert [bar.get_x() + 0.5 for bar in axes.containers[0]] == list(axes.get_xticks())
    (axes,) = plot_drift(model, model).axes
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["dense_1/kernel", "dense_1/bias"]


def test_of_many_names_some_are_written_where_they_belong():
    graph = resnet(40)
    names = [name for name, figures in depth_figures(graph) if figures.total]
    (axes,) = plot_depth(graph).axes
    shown = [label.get_text() for label in axes.get_xticklabels()]
    places = [int(place) for place in axes.get_xticks()]
    assert len(names) > 40 >= len(shown) > 20
    assert shown == [names[place] for place in places]
    figure = plot_depth(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="a$b$" + "c" * 40)]))
    (label,) = figure.axes[0].get_xticklabels()
    assert label.get_text() == r"a\$b\$cccccccc…cccccccccccc"


def test_drift_is_zero_where_frozen():
    before = sg.rewrite(zoo.mlp(), sg.freeze("dense_1"))
    after = sg.rewrite(zoo.mlp(), sg.freeze("dense_1"))
    for variable in after.trainable_variables:
        variable.assign(variable * 1.5)
    moved = dict(drift(before, after))
    assert moved["dense_1/kernel"] == moved["dense_1/bias"] == 0
    assert {path for path, value in moved.items() if value} == {
        "dense_2/kernel", "dense_2/bias", "head/kernel", "head/bias",
    }  # fmt: skip
    assert moved["head/kernel"] == pytest.approx(1 / 3, rel=1e-5)  # of the larger one, as in diff
    assert plot_drift(before, after).axes[0].get_title(loc="left") == "mlp: 4 of 6 weights moved"
    with pytest.raises(ModelError, match="no weight of one path and shape"):
        drift(before, zoo.ops_model())


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_plot_gives_the_same_bytes(tmp_path, suffix):
    for name in ("one", "other"):
        plot_depth(resnet(3), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()


def test_bad_paths(tmp_path):
    with pytest.raises(RenderError, match=r"no format '\.pgn'; close: '\.png'"):
        plot_depth(resnet(3), tmp_path / "a.pgn")
    with pytest.raises(RenderError, match="no folder"):
        plot_depth(resnet(3), tmp_path / "b" / "a.png")

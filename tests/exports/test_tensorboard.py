"""What TensorBoard reads: the picture as an image summary."""

from __future__ import annotations

import pytest
import tensorflow as tf

from surgeon.diagrams import draw
from surgeon.errors import RenderError
from surgeon.exports import to_tensorboard
from tests.diagrams.graphs import chain, partly


def summaries(folder):
    """Return tag, step, plugin and strings of each value in the folder's logs."""
    found = []
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [
                (value.tag, event.step, value.metadata.plugin_data.plugin_name, list(value.tensor.string_val))
                for value in event.summary.value
            ]
    return found


def test_the_picture_is_an_image_of_its_step(tmp_path):
    graph = partly()
    assert to_tensorboard(graph, tmp_path / "logs", step=7) == tmp_path / "logs"
    ((tag, step, plugin, (wide, high, png)),) = summaries(tmp_path / "logs")
    assert (tag, step, plugin) == ("surgeon/partly", 7, "images")
    assert png == draw(graph).png()
    assert tuple(tf.io.decode_png(png).shape[:2]) == (int(high), int(wide))


def test_steps_go_side_by_side(tmp_path):
    for step in (0, 1):
        to_tensorboard(chain(step + 1), tmp_path, step=step, tag="phases", detail="overview", theme="dark")
    assert sorted(found[:2] for found in summaries(tmp_path)) == [("phases", 0), ("phases", 1)]


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(RenderError, match="it is a file"):
        to_tensorboard(chain(1), path)
    assert path.read_text() == "kept"

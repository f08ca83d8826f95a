"""TensorBoard: the picture of a model among the images of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from surgeon.diagrams import draw
from surgeon.diagrams.detail import Detail
from surgeon.diagrams.text import clean
from surgeon.errors import RenderError
from surgeon.graph import ModelGraph


def to_tensorboard(
    graph: ModelGraph,
    folder: str | os.PathLike[str],
    *,
    step: int = 0,
    tag: str | None = None,
    theme: str = "light",
    detail: Detail = "auto",
) -> Path:
    """Write the picture of a model as an image summary, and return the folder.

    TensorBoard shows it under "Images"; one with the same tag and another step goes beside it, so that
    the phases of a schedule can be leafed through. TensorBoard itself is not needed.

    Args:
        graph: The model.
        folder: The run's folder of logs, as of `keras.callbacks.TensorBoard`. Made if it is missing.
        step: Which step or epoch it stands for.
        tag: What TensorBoard calls it. By default `surgeon/` and the model's name.
        theme: `"light"` or `"dark"`.
        detail: How much the picture shows; as for `surgeon.diagram`.

    Raises:
        RenderError: If the picture cannot be made, or the folder is a file.

    Example:
        >>> import tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logs = surgeon.to_tensorboard(surgeon.to_graph(model), folder, step=1)
        ...     len(list(logs.iterdir()))
        1
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise RenderError(f"cannot write to {str(folder)!r}: it is a file; give a folder of logs")
    png = draw(graph, theme=theme, detail=detail).png()
    _write(folder, clean(tag or f"surgeon/{graph.name}"), step, png)
    return folder


def _write(folder: Path, tag: str, step: int, png: bytes) -> None:
    import tensorflow as tf

    # The header of a PNG: eight bytes, then the length and name of a chunk, then width and height.
    wide, high = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    values = [str(wide).encode(), str(high).encode(), png]
    metadata: Any = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "images"
    writer = tf.summary.create_file_writer(str(folder))
    with tf.device("cpu:0"), writer.as_default():
        tf.summary.write(tag, tf.constant(values), step=step, metadata=metadata)
    writer.close()

"""Pictures of what is frozen, partly frozen, trainable and state in a model.

They are made from a `surgeon.graph.ModelGraph` alone: a model's graph that was stored as JSON
can be drawn on a machine without Keras.
"""

from surgeon.diagrams.detail import Detail
from surgeon.diagrams.draw import draw, draw_change
from surgeon.diagrams.drawing import Drawing

__all__ = ["Detail", "Drawing", "draw", "draw_change"]

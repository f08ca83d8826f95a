"""Pictures of what is frozen, partly frozen, trainable and state in a model.

They are made from a `surgeon.graph.ModelGraph` alone: a model's graph that was stored as JSON
can be drawn on a machine without Keras.
"""

from surgeon.diagrams.detail import Detail
from surgeon.diagrams.draw import draw, draw_change, draw_pair
from surgeon.diagrams.drawing import Drawing
from surgeon.diagrams.svg import with_ids
from surgeon.diagrams.theme import DARK, LIGHT

__all__ = ["DARK", "LIGHT", "Detail", "Drawing", "draw", "draw_change", "draw_pair", "with_ids"]

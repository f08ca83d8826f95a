"""A model's graph for other people's viewers."""

from surgeon.exports.graphml import to_graphml
from surgeon.exports.model_explorer import to_model_explorer
from surgeon.exports.tensorboard import to_tensorboard

__all__ = ["to_graphml", "to_model_explorer", "to_tensorboard"]

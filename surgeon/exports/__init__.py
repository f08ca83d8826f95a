"""A model's graph for other people's viewers."""

from surgeon.exports.graphml import to_graphml
from surgeon.exports.model_explorer import to_model_explorer

__all__ = ["to_graphml", "to_model_explorer"]

"""From a Keras model to its graph, and from a graph to a Keras model, with all that it knows."""

from surgeon.roundtrip.building import to_model
from surgeon.roundtrip.reading import layers_of, read_result, sites, to_graph
from surgeon.roundtrip.restoring import restore

__all__ = ["layers_of", "read_result", "restore", "sites", "to_graph", "to_model"]

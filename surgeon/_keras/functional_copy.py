"""A functional model with the graph of another one, written down and not found anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras

from surgeon._keras.names import DotNotTrackScope, Functional, make_node_key


def start_functional_copy(
    model: Functional, old: Functional, copies: Mapping[int, Any], inputs: Any, outputs: Any, name: str | None
) -> bool:
    """Do for `model` what `Functional.__init__` does, with depths and order as they are known from `old`.

    Keras walks the whole graph by recursion and looks for each name among all others, which takes a
    time that grows with the square of the number of layers.

    Args:
        model: An object of a functional class whose `__init__` was not called.
        old: A model with the same graph.
        copies: The counterparts of its operations and of the symbolic tensors, by identity.
        inputs: Structure of the new symbolic inputs, each of an input layer.
        outputs: Structure of the new symbolic outputs.
        name: The name of the model; `None` lets Keras make one up.

    Returns:
        False, and nothing was done, if a counterpart is not known or the ends are others.
    """
    try:
        graph = _Graph(old, copies)
    except LookupError:
        return False
    ends = keras.tree.flatten([inputs, outputs])
    if [id(tensor) for tensor in ends] != [
        id(copies[id(tensor)]) for tensor in (*old._inputs, *old._outputs)
    ]:
        return False
    # A graph of nothing but its inputs takes no time to walk.
    Functional.__init__(model, inputs, inputs, name=name)
    vars(model)["_outputs_struct"] = keras.tree.map_structure(lambda tensor: tensor, outputs)
    vars(model)["_outputs"] = keras.tree.flatten(outputs)
    with DotNotTrackScope():
        model._nodes = graph.nodes
        model._nodes_by_depth = graph.nodes_by_depth
        model._operations = graph.operations
        model._operations_by_depth = graph.operations_by_depth
    names = [tensor._keras_history.operation.name for tensor in model._outputs]
    if model._tracker.config["layers"][1] is model._layers:
        for layer in model.layers:
            model._tracker.track(layer)
        model.output_names = names
    else:  # Keras 3.12 puts a list of its own in the place of the one that its tracker fills
        with DotNotTrackScope():
            model._layers = model.layers
            model.output_names = names
    return True


class _Graph:
    """The four things that Keras keeps of a graph, in terms of the copies.

    Raises:
        LookupError: If an operation or a call has no copy.
    """

    def __init__(self, old: Functional, copies: Mapping[int, Any]) -> None:
        def node(of_old: Any) -> Any:
            history = copies[id(of_old.outputs[0])]._keras_history
            self.nodes.add(make_node_key(history.operation, history.node_index))
            return history.operation._inbound_nodes[history.node_index]

        self.nodes: set[str] = set()
        self.nodes_by_depth = _at_each_depth(old._nodes_by_depth, node)
        self.operations = [copies[id(op)] for op in old._operations]
        self.operations_by_depth = _at_each_depth(old._operations_by_depth, lambda op: copies[id(op)])


def _at_each_depth(old: Mapping[int, list[Any]], new: Any) -> dict[int, list[Any]]:
    return defaultdict(list, {depth: [new(item) for item in items] for depth, items in old.items()})

"""A model that is operated on, and what must hold whatever is done to it."""

from __future__ import annotations

from contextlib import contextmanager

import keras
from hypothesis import assume, settings
from hypothesis import strategies as st

import surgeon as sg
from tests import zoo
from tests.evaluation import evaluate
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    weights_of,
)
from tests.strategies import Recipe, build

few = settings(max_examples=settings().max_examples // 6)
"""Each example makes three models; `HYPOTHESIS_PROFILE=thorough` makes more of these, too."""


@contextmanager
def inputs_all_read():
    """Take no example that leaves an input without a reader, where Keras builds no such model."""
    try:
        yield
    except sg.GraphError as error:
        assume(keras.__version__ >= "3.14" or "nothing would read the input" not in str(error))
        raise


class Patient:
    """A model that is about to be operated on, with all that must not change of it."""

    def __init__(self, recipe: Recipe) -> None:
        self.model = build(recipe)
        self.graph = sg.to_graph(self.model)
        self.inputs = zoo.sample_inputs(self.model)
        self._before = self._portrait()

    def _portrait(self):
        calls = [len(operation._inbound_nodes) for operation in self.model.operations]
        return weights_of(self.model), calls, [layer.get_config() for layer in self.model.layers]

    def values(self, **options):
        return evaluate(self.graph, self.inputs, **options)

    def copy(self):
        """A model of its own, to change by hand."""
        return sg.rewrite(self.model, [])

    def operate(self, rules):
        """Rewrite by the plan, and by the plan that went through JSON; check what holds for every action."""
        plan = sg.plan(self.model, rules)
        with inputs_all_read():
            tuned = plan.apply(self.model, validate="structure")
        text = plan.to_json()
        again = sg.Plan.from_json(text).apply(self.model, validate="structure")
        assert sg.Plan.from_json(text).to_json() == text
        if not any("new values" in change.note for change in plan.journal):
            assert_same_outputs(tuned(self.inputs), again(self.inputs))
        weights, calls, configs = self._portrait()
        assert_same_weights(self._before[0], weights)
        assert (calls, configs) == self._before[1:]
        assert not {id(v) for v in tuned.variables} & {id(v) for v in self.model.variables}
        assert plan.after is not None
        now = {w.path: (w.shape, w.trainable) for w in sg.to_graph(tuned).weights}
        assert {w.path: (w.shape, w.trainable) for w in plan.after.weights} == now
        return tuned

    def dense(self, data, *, linear=False, whole=True):
        """Draw the path of a Dense of the outermost model that is called once, or in all of its calls."""
        paths = {
            node.path
            for node in self.graph
            if node.class_name == "Dense"
            and (not linear or node.config["activation"] == "linear")
            and (not whole or is_once(self.graph, node))
        }
        return data.draw(st.sampled_from(sorted(paths)))


def is_once(graph, node):
    """Whether a layer is called once, and in no other model."""
    return sum(other.path == node.path for other in graph) == 1 and "shared" not in node.name

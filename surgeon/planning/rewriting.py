"""Plan and cut in one go."""

from __future__ import annotations

from typing import Any

from surgeon.planning.applying import apply_to_graph
from surgeon.planning.making import plan_for_graph
from surgeon.roundtrip import to_graph
from surgeon.scoring import Scorer
from surgeon.validation import Validate, check_mode


def rewrite(
    model: Any, rules: Any, *, validate: Validate = "outputs", share: bool = False, data: Any = None
) -> Any:
    """Return a new, validated Keras model in which rules were carried out.

    Args:
        model: A built functional or Sequential `keras.Model`. It stays as it is.
        rules: A rule, or a list of rules in order; later ones win, weight by weight.
        validate: `"outputs"` compares structure, weights, and outputs on seeded random inputs;
            `"structure"` leaves the outputs out; `"none"` compares nothing.
        share: Keep the objects of untouched layers instead of copying them. They belong to both
            models then: what trains in one moves in the other, and so does a flag that is set.
        data: What criteria look at that bring no data of their own; anything that `fit` takes.

    Raises:
        NoGraphError: If the model has no graph.
        RuleError: If a rule makes no sense; a `NoMatchError` if it matches nothing.
        CopyError: If a layer cannot be copied.
        ValidationError: If the result differs where it must not.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> tuned = rewrite(model, surgeon.freeze("d", "kernel"))
        >>> [variable.name for variable in tuned.trainable_variables]
        ['bias']
    """
    check_mode(validate)
    graph, scorer = to_graph(model), Scorer(model, data)
    plan = plan_for_graph(graph, rules, scorer)
    return apply_to_graph(plan, graph, scorer, validate=validate, share=share)

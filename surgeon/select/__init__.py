"""Which layers, and which elements of a weight: selectors and selections, as values.

This floor knows nothing of Keras. A selector looks at nodes of a graph, a selection at the
shape of a weight and, only if a criterion needs them, at its values.
"""

from surgeon.select.along import along
from surgeon.select.axes import Axes, axes_of
from surgeon.select.choosing import channels, elements, rows
from surgeon.select.criteria import MAGNITUDE
from surgeon.select.data_criteria import (
    Criterion,
    activation,
    criterion,
    fisher,
    gradient,
    movement,
    relative_gradient_norm,
    snip,
)
from surgeon.select.found import Selected, first_calls, select
from surgeon.select.leaves import has_weight, inside, isa, name, where
from surgeon.select.matching import Matches, Miss
from surgeon.select.pattern import Match, Pattern, any_tensor, chain, either, node, optional, pattern
from surgeon.select.pooling import Candidate, resolve_together
from surgeon.select.position import every, first, last, nth
from surgeon.select.relative import (
    between,
    called,
    consumers_of,
    depth,
    downstream_of,
    ends,
    producers_of,
    upstream_of,
)
from surgeon.select.selection import Selection
from surgeon.select.selection_data import selection_from_data
from surgeon.select.selector import Selector, as_selector
from surgeon.select.selector_data import selector_from_data
from surgeon.select.tiles import blocks, n_of_m
from surgeon.select.world import World

__all__ = [
    "MAGNITUDE",
    "Axes",
    "Candidate",
    "Criterion",
    "Match",
    "Matches",
    "Miss",
    "Pattern",
    "Selected",
    "Selection",
    "Selector",
    "World",
    "activation",
    "along",
    "any_tensor",
    "as_selector",
    "axes_of",
    "between",
    "blocks",
    "called",
    "chain",
    "channels",
    "consumers_of",
    "criterion",
    "depth",
    "downstream_of",
    "either",
    "elements",
    "ends",
    "every",
    "first",
    "first_calls",
    "fisher",
    "gradient",
    "has_weight",
    "inside",
    "isa",
    "last",
    "movement",
    "n_of_m",
    "name",
    "node",
    "nth",
    "optional",
    "pattern",
    "producers_of",
    "relative_gradient_norm",
    "resolve_together",
    "rows",
    "select",
    "selection_from_data",
    "selector_from_data",
    "snip",
    "upstream_of",
    "where",
]

"""Which layers, and which elements of a weight: selectors and selections, as values.

This floor knows nothing of Keras. A selector looks at nodes of a graph, a selection at the
shape of a weight and, only if a criterion needs them, at its values.
"""

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
from surgeon.select.leaves import isa, name, where
from surgeon.select.pooling import Candidate, resolve_together
from surgeon.select.selection import Selection
from surgeon.select.selection_data import selection_from_data
from surgeon.select.selector import Selector, as_selector
from surgeon.select.selector_data import selector_from_data

__all__ = [
    "MAGNITUDE",
    "Axes",
    "Candidate",
    "Criterion",
    "Selection",
    "Selector",
    "activation",
    "as_selector",
    "axes_of",
    "channels",
    "criterion",
    "elements",
    "fisher",
    "gradient",
    "isa",
    "movement",
    "name",
    "relative_gradient_norm",
    "resolve_together",
    "rows",
    "selection_from_data",
    "selector_from_data",
    "snip",
    "where",
]

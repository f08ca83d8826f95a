"""Which layers, and which elements of a weight: selectors and selections, as values.

This floor knows nothing of Keras. A selector looks at nodes of a graph, a selection at the
shape of a weight and, only if a criterion needs them, at its values.
"""

from surgeon.select.along import along
from surgeon.select.axes import Axes, axes_of
from surgeon.select.choosing import channels, elements, rows
from surgeon.select.leaves import isa, name, where
from surgeon.select.selection import Selection
from surgeon.select.selection_data import selection_from_data
from surgeon.select.selector import Selector, as_selector
from surgeon.select.selector_data import selector_from_data
from surgeon.select.tiles import blocks, n_of_m

__all__ = [
    "Axes",
    "Selection",
    "Selector",
    "along",
    "as_selector",
    "axes_of",
    "blocks",
    "channels",
    "elements",
    "isa",
    "n_of_m",
    "name",
    "rows",
    "selection_from_data",
    "selector_from_data",
    "where",
]

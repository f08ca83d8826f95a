"""What trains already, along the axis of a selection that shares a budget."""

from __future__ import annotations

import numpy as np

from surgeon.partial import Part
from surgeon.select.pooling import _positions_of


def test_positions_at_which_all_trains():
    whole = Part.all((2, 3))
    assert _positions_of(whole, 1).tolist() == []
    assert _positions_of(Part.slices((2, 3), 1, [2]), 1).tolist() == [2]
    mask = np.array([[True, True, False], [True, False, False]])
    assert _positions_of(Part.mask(mask), None).tolist() == [0, 1, 3]
    assert _positions_of(Part.mask(mask), 1).tolist() == [0]
    assert _positions_of(Part.slices((2, 3), 0, [1]), 1).tolist() == []

"""Looking for NaN and infinity among bytes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from surgeon.checkpoint.bytepath.finite import finite_check


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "bfloat16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
@pytest.mark.parametrize("place", [0, 500, 999])
def test_one_bad_value_among_a_thousand(dtype, bad, place):
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    values = np.zeros(1000, kind)
    # Finite, though their sum is not.
    values[[1, 2, 3]] = ml_dtypes.finfo(kind).max
    if bad is not None:
        values[place] = bad
    check = finite_check("V2" if dtype == "bfloat16" else dtype)
    assert check is not None
    with np.errstate(all="ignore"):
        assert check(memoryview(values.tobytes())) is (bad is None)
        assert check(memoryview(b""))


@pytest.mark.parametrize("dtype", ["<i4", "|u1", "|b1"])
def test_whole_numbers_are_not_looked_at(dtype):
    assert finite_check(dtype) is None

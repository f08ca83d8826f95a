"""Taking a delta off a model that comes from a file, which does not say what lay there before."""

from __future__ import annotations

import os
from typing import Any

from surgeon.deltas.delta import array_of, variables_of
from surgeon.deltas.stacking import load_delta
from surgeon.errors import DeltaError


def remove_delta(model: Any, path: str | os.PathLike[str], base: Any) -> None:
    """Give a model back, in place, what its base has where a delta lies on it.

    `load_delta(...).remove()` does so where the delta was put on in the same process.

    Args:
        model: A model on which the delta lies, and perhaps others that share no element with it.
        path: The delta's file.
        base: The model that the delta was made for. It comes back as it was.

    Raises:
        DeltaError: If the delta is not of this base, lies on the base itself, or does not lie on the model as
            it was saved. The model stays as it was.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")], name="small")
        >>> tuned = surgeon.rewrite(base, surgeon.freeze("d", "kernel"))
        >>> _ = tuned.layers[0].bias.assign([1.0, 2.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = surgeon.save_delta(tuned, pathlib.Path(folder, "d.safetensors"))
        ...     remove_delta(tuned, pathlib.Path(folder, "d.safetensors"), base)
        >>> keras.ops.convert_to_numpy(tuned.layers[0].bias).tolist()
        [0.0, 0.0]
    """
    with load_delta(base, path) as applied:
        if not applied.has_changed_something:
            raise DeltaError(
                f"{applied.source} lies on the base itself, and nothing would come off: "
                "give the model from before it as the base"
            )
        there, here = variables_of(base), variables_of(model)
        if there.keys() != here.keys():
            odd = min(there.keys() ^ here.keys())
            raise DeltaError(f"the model and the base of {applied.source} differ: {odd!r} is in one of them")
        wholes = {name: array_of(here[name]) for name in applied.replaced}
        applied.check_on(wholes)
        for name, whole in wholes.items():
            applied.take_off(name, whole)
    for name, whole in wholes.items():
        here[name].assign(whole)

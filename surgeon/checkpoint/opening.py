"""Opening one checkpoint: the front door first, Keras after it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from surgeon.checkpoint.architecture import admit_architecture
from surgeon.checkpoint.front_door import admit
from surgeon.checkpoint.sources import kind_of
from surgeon.errors import CheckpointError


def open_model(
    path: Path,
    architecture: Path | None = None,
    imports: Iterable[str] = (),
    importing: AbstractContextManager[None] | None = None,
) -> Any:
    """Check a checkpoint and load it, with Keras's safe mode on.

    A file that is refused is refused at once: Keras is imported after the checks.

    Args:
        path: A `.keras`, `.weights.h5`, `.weights.json` or legacy `.h5` file.
        architecture: The model that bare weights belong to: a `.keras` or `.json` file.
        imports: Modules to import first, for the classes that they register; the front door lets these in.
        importing: A context in which Keras is imported.

    Returns:
        The Keras model.

    Raises:
        RefusedError: If the front door refuses the file.
        CheckpointError: If it is no checkpoint, if bare weights come without `architecture`, or if
            Keras cannot load it; Keras's own exception is chained.
    """
    kind, imports = kind_of(path, has_architecture=architecture is not None), tuple(imports)
    admit(path, kind, allowed=imports)
    if architecture is not None:
        admit_architecture(architecture, imports)
    with importing or nullcontext():
        from surgeon.checkpoint.loading import import_modules, load_admitted

        import_modules(imports)
    try:
        return load_admitted(path, kind, architecture)
    except Exception as error:
        raise CheckpointError(f"{path}: Keras cannot load it: {' '.join(str(error).split())}") from error

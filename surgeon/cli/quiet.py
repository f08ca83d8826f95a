"""A clean terminal while TensorFlow starts."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from surgeon.cli.console import note


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back what is written to the process's standard error; if the block fails, it is shown after all.

    TensorFlow's native code reports on processor features and missing graphics cards before any setting of
    its own can stop it, so this works on the file descriptor.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            with os.fdopen(os.dup(kept), "wb") as terminal:
                shutil.copyfileobj(held, terminal)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def noted_warnings() -> Iterator[None]:
    """Show each warning as a line, without the place in the source that a user of the command can't use."""
    with warnings.catch_warnings(record=True) as caught:
        # What Keras tells its users; not what libraries tell those who write them.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        note(f"warning: {text}")

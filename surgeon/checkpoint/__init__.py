"""Checkpoints by the folder: planned once per architecture, then moved as bytes; or by Keras, one by one.

```
conversion   the run: sources -> jobs -> outcomes -> report
├── sources          which files, and what their outputs are called
├── per_file         one file: by the byte path, or front door -> worker -> front door
│   ├── bytepath         plan, recipe, derivation, executor, reading, streams, archive, store: no Keras
│   ├── asking           a worker is asked, and its answer may end the work on the file
│   └── front_door       zip_check, json_check, config_check, keras_functions, describing, shards,
│       │                hdf5, budgets
├── engine           several files at a time; ray_engine: on a cluster
│   └── worker_process   -> worker -> surgery -> loading, legacy_config; tracing makes the byte plans
├── rehearsal        what a run would do; watching: how far it is
├── destination      where outputs go; stores (fsspec), ranges, spool: what is on S3 and its like
├── settling, record  outputs get their names; what counts as done; manifest (SQLite), publish, identity
├── outcome          what became of each file
└── opening          one checkpoint, opened by the same door, for the command line
```

Only `surgery`, `tracing` and `loading` import Keras; nothing else here imports them but the worker process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surgeon.checkpoint.conversion import Event as Event
    from surgeon.checkpoint.conversion import convert as convert
    from surgeon.checkpoint.opening import open_model as open_model
    from surgeon.checkpoint.outcome import ConversionReport as ConversionReport
    from surgeon.checkpoint.outcome import Converted as Converted
    from surgeon.checkpoint.outcome import Failed as Failed
    from surgeon.checkpoint.outcome import Outcome as Outcome
    from surgeon.checkpoint.outcome import Planned as Planned
    from surgeon.checkpoint.outcome import Skipped as Skipped
    from surgeon.checkpoint.publish import atomic_output as atomic_output
    from surgeon.checkpoint.sources import Kind as Kind
    from surgeon.checkpoint.sources import kind_of as kind_of
    from surgeon.checkpoint.watching import Progress as Progress
    from surgeon.checkpoint.watching import progress as progress

# Imported when they are used: the command line needs `Kind` to say `--help`, but not numpy and networkx.
_WHERE = {
    "ConversionReport": "outcome",
    "Converted": "outcome",
    "Event": "conversion",
    "Failed": "outcome",
    "Kind": "sources",
    "Outcome": "outcome",
    "Planned": "outcome",
    "Skipped": "outcome",
    "Progress": "watching",
    "atomic_output": "publish",
    "convert": "conversion",
    "kind_of": "sources",
    "open_model": "opening",
    "progress": "watching",
}

__all__ = [*_WHERE]  # noqa: PLE0604 - the names are strings


def __getattr__(attribute: str) -> Any:
    if attribute not in _WHERE:
        raise AttributeError(f"module 'surgeon.checkpoint' has no attribute {attribute!r}")
    module = import_module(f"surgeon.checkpoint.{_WHERE[attribute]}")
    value = globals()[attribute] = getattr(module, attribute)
    return value

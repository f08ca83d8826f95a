"""Checkpoints by the folder: front door, one file at a time through Keras, manifest, report.

```
conversion   the run: sources -> jobs -> outcomes -> report
├── sources          which files, and what their outputs are called
├── per_file         one file: front_door (zip_check, json_check, hdf5_check, budgets) -> worker -> front_door
├── engine           several files at a time
│   └── worker_process   -> worker -> surgery -> loading, operations
├── record           what counts as done; manifest (SQLite), publish
├── outcome          what became of each file
└── opening          one checkpoint, opened by the same door, for the command line
```

Only `surgery` and `loading` import Keras; nothing else here imports them but the worker process.
"""

from surgeon.checkpoint.conversion import Event, convert
from surgeon.checkpoint.opening import open_model
from surgeon.checkpoint.outcome import ConversionReport, Converted, Failed, Outcome, Skipped
from surgeon.checkpoint.publish import atomic_output
from surgeon.checkpoint.sources import Kind

__all__ = [
    "ConversionReport",
    "Converted",
    "Event",
    "Failed",
    "Kind",
    "Outcome",
    "Skipped",
    "atomic_output",
    "convert",
    "open_model",
]

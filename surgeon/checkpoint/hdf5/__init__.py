"""A bounded reader of HDF5 layouts, in Python and numpy alone: which array is which bytes of a file.

```
layout      the walk over groups and datasets, with its budgets -> Layout
├── groups      the names in a group
├── messages    what an object says of itself: type, shape, place of the data, attributes
├── heap        text of variable length
├── superblock  where a file starts and how long it is
└── window      the bytes, with bounds
```

It reads what Keras and h5py write and refuses the rest (links, cycles, external and virtual storage, foreign
drivers) with a reason. libhdf5, which is 300,000 lines of C, does not see a file before this has.
Layouts are those of the HDF5 File Format Specification, version 3.0.
"""

from surgeon.checkpoint.hdf5.layout import Dataset, Layout, read_layout
from surgeon.checkpoint.hdf5.superblock import HEAD, SIGNATURE, check_hdf5
from surgeon.checkpoint.hdf5.window import Window

__all__ = ["HEAD", "SIGNATURE", "Dataset", "Layout", "Window", "check_hdf5", "read_layout"]

"""Schedules: what trains changes while a model trains.

```
ready_made   gradual unfreezing, layer sampling, budget growth, regrowth
└── schedule     phases of rules, from a plain loop or from a callback
    ├── callback     the same in one `fit`
    │   └── late_start   on a model that did not live through its first phases
    └── backup       everything that a run needs to go on from, in one file
```
"""

from surgeon.schedules.ready_made import budget_growth, gradual_unfreezing, layer_sampling, regrowth
from surgeon.schedules.schedule import Phase, Schedule

__all__ = [
    "Phase",
    "Schedule",
    "budget_growth",
    "gradual_unfreezing",
    "layer_sampling",
    "regrowth",
]

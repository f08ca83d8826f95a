"""What criteria that look at data give each element of a model's weights.

```
scorer       which scores are needed, computed once, on a copy of the model
├── by_gradient     fisher, gradient, snip, movement, relative_gradient_norm
│   └── gradients       gradients of the loss, on each backend
├── by_activation   activation
├── looking         what is said where a model cannot look at the data
└── batches         data, batch by batch, with progress
```
"""

from surgeon.scoring.ranking import rank_layers
from surgeon.scoring.scorer import Scorer

__all__ = ["Scorer", "rank_layers"]

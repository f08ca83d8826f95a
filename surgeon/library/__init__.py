"""Ready-made rules, one a file: what people do to trained models again and again."""

from surgeon.library.activations import change_activation
from surgeon.library.batch_norm import freeze_batch_norm
from surgeon.library.biases import bias_only
from surgeon.library.deployment import strip_training_only
from surgeon.library.dropout import dropout_after
from surgeon.library.folding import fold_batch_norm
from surgeon.library.group_norm import to_group_norm
from surgeon.library.head import new_head
from surgeon.library.l2 import add_l2
from surgeon.library.pooling import to_average_pooling

__all__ = [
    "add_l2",
    "bias_only",
    "change_activation",
    "dropout_after",
    "fold_batch_norm",
    "freeze_batch_norm",
    "new_head",
    "strip_training_only",
    "to_average_pooling",
    "to_group_norm",
]

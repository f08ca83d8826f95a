"""The functions of Keras that a config may name: losses, metrics and activations, of every supported release.

Keras writes them by a bare name. It looks that up among more than these: among helpers and classes of its
own, and, for the sake of old files, among all functions that anybody has registered. So what may be named is
said here, and said without Keras, since files are checked before it is imported.
"""

from __future__ import annotations

_NAMES = """
binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
categorical_hinge circle concordance_correlation cosine_similarity ctc dice hinge huber kl_divergence
log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error
mean_squared_logarithmic_error pearson_correlation poisson sparse_categorical_accuracy
sparse_categorical_crossentropy sparse_top_k_categorical_accuracy squared_hinge
top_k_categorical_accuracy tversky

celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
"""
FUNCTIONS = frozenset(_NAMES.split())

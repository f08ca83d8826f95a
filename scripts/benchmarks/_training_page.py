"""The page of the documentation that shows what a partly frozen layer costs, as `training.py` printed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

HEAD = """# What partial training costs

Written by `scripts/benchmark training --page docs`, in one run on a shared machine of two cores. All variants
of a case take turns in one process. *Train step* and *inference* are processor time, the median of three
places in memory, as it counts where weights come to lie; *slots* are the bytes of Adam's variables, *peak
memory* those of the batch, weights, slots, gradients, activations and temporaries of a step, as asked of
TensorFlow's allocator (at most, in three processes) and as XLA plans them for JAX. All are ratios to the
stock layer's; predictions to the mean of the stock layer's and the frozen one's, which are the same. Single
figures stray by 0.1.

*Frozen* is the layer with Keras's own flag, *kernel frozen* `freeze(layer, "kernel")`; *channels*, *rows* and
*elements* are `train(layer, kernel=...)` of so many, chosen at random; *mask by hand* is the usual full-size
variable with a mask on its gradient, and *split* is [`split_compute`](training.md#what-it-costs).
`dense_1024` has a batch of 256, `dense_4096` one of 64, and the convolutions one of 16: 3 × 3, of 64 filters
on 28 × 28 places and of 256 on 14 × 14. In the networks every Dense, EinsumDense and Conv2D is frozen or
trains in part.
"""

CONVOLUTIONS = "conv_256_groups,conv_256_transposed"
NETWORKS = "mobilenet_v2,resnet50,transformer"
LAYERS = "dense_1024,dense_4096,conv_64,conv_256"
SOME = "dense_1024,dense_4096,conv_256"
PARTS = {
    "TensorFlow": ("--memory", "--cases", LAYERS, "--fractions", "0.01,0.1,0.5,0.9"),
    "TensorFlow: other convolutions": ("--fractions", "0.1", "--cases", CONVOLUTIONS),
    "TensorFlow: networks": ("--fractions", "0.1", "--cases", NETWORKS),
    "TensorFlow with `jit_compile`": ("--memory", "--jit", "--cases", SOME, "--fractions", "0.1,0.9"),
    "JAX": ("--memory", "--backend", "jax", "--cases", SOME, "--fractions", "0.01,0.1,0.5,0.9"),
}  # fmt: skip
"""The headings of the page, and the arguments for each."""


def write_page(folder: Path, run: Callable[..., str]) -> None:
    """Write `training-cost.md` into a folder.

    Args:
        folder: Where the documentation lies.
        run: Returns what the benchmark prints with these arguments.
    """
    parts = [HEAD]
    for heading, arguments in PARTS.items():
        print(heading, flush=True)
        parts.append(f"## {heading}\n{run(*arguments)}")
    (folder / "training-cost.md").write_text("\n".join(parts), encoding="utf-8")

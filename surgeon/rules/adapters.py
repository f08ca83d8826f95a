"""Low-rank adapters by selector."""

from __future__ import annotations

from dataclasses import dataclass, field

from surgeon.errors import RuleError
from surgeon.rules.origin import caller
from surgeon.rules.replacement import as_target
from surgeon.select import Pattern, Selector


@dataclass(frozen=True)
class LoraRule:
    """What `lora(...)` returns.

    Attributes:
        selector: Which layers.
        rank: Rank of the adapters.
        alpha: Their scale is `alpha / rank`; `None` for the rank itself.
        origin: `file:line` where the rule was written.
    """

    selector: Selector
    rank: int
    alpha: float | None = None
    origin: str = field(default="unknown:0", compare=False)

    def __str__(self) -> str:
        alpha = "" if self.alpha is None else f", alpha={self.alpha}"
        return f"lora({self.selector}, rank={self.rank}{alpha})"

    __repr__ = __str__


def lora(selector: Selector | str, /, rank: int, *, alpha: float | None = None) -> LoraRule:
    """Add Keras's own low-rank adapters to layers, and freeze the kernels that they adapt.

    The kernel is frozen as by `freeze(selector, "kernel")`: unlike with a bare `layer.enable_lora`,
    no `model.trainable = True` sets it loose. What else trains is up to other rules; put
    `freeze("**")` first to train the adapters alone.

    Args:
        selector: Which layers, at any depth: Dense, EinsumDense, Embedding, convolutions.
        rank: Rank of the adapters.
        alpha: The adapter is scaled by `alpha / rank`; by 1 unless given.

    Raises:
        RuleError: If the rank is less than 1.

    Example:
        >>> print(lora("**/query", rank=4))
        lora('**/query', rank=4)
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise RuleError(f"lora({selector!r}, rank={rank!r}): a rank is a whole number, at least 1")
    target = as_target("lora", selector)
    if isinstance(target, Pattern):
        raise RuleError("lora(...) takes a selector, not a pattern")
    return LoraRule(target, rank, alpha, caller())

"""The verbs of structure besides `replace`: insert, remove, wrap, rewire, rename, share, configure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from surgeon.errors import RuleError
from surgeon.rules.origin import caller
from surgeon.rules.replacement import (
    Scope,
    StructureRule,
    Target,
    as_target,
    check_scope,
    is_count,
    making_rule,
)
from surgeon.rules.which_go import which_go
from surgeon.select import Pattern

Which = float | slice | Sequence[int] | Sequence[bool]


def insert_before(
    selector: Target, make: Any, /, *, argument: int | None = None, scope: Scope = "layer"
) -> StructureRule:
    """Insert a layer before each matched one: what that reads goes through the new layer first.

    Args:
        selector: Which nodes of the graph.
        make: A layer, of which each matched layer gets a copy; a list of layers; or a function of
            the node that returns one of these, or `None`.
        argument: Which of the tensors that the matched layer reads, counted from 0; needed where
            it reads several.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> print(insert_before("head", lambda node: None, argument=0).options)
        {'argument': 0}
    """
    return making_rule("insert_before", selector, make, scope=scope, argument=argument)


def insert_after(
    selector: Target, make: Any, /, *, output: int | None = None, scope: Scope = "layer"
) -> StructureRule:
    """Insert a layer after each matched one: all who read its output read that of the new layer.

    Args:
        selector: Which nodes of the graph.
        make: As for `insert_before`.
        output: Which output of the matched layer, counted from 0; the first unless given.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> print(insert_after("dense_*", lambda node: None).verb)
        insert_after
    """
    return making_rule("insert_after", selector, make, scope=scope, output=output)


def remove(
    selector: Target, /, *, keep: int | None = None, any_shape: bool = False, scope: Scope = "layer"
) -> StructureRule:
    """Remove layers: who read their output reads what they read.

    Args:
        selector: Which nodes of the graph.
        keep: Which of the tensors that the layer reads goes on, counted from 0; needed where it
            reads several, as an `Add` does.
        any_shape: Remove it also where that gives what follows another shape; layers that no
            longer fit are made anew, and the plan says so.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> print(remove("dropout_*"))
        remove('dropout_*')
    """
    options = {"keep": keep, "any_shape": any_shape or None}
    given = {name: value for name, value in options.items() if value is not None}
    return StructureRule(
        "remove", as_target("remove", selector), None, given, check_scope("remove", scope), caller()
    )


def wrap(selector: Target, make: Callable[[Any], Any], /, *, scope: Scope = "layer") -> StructureRule:
    """Put a layer around each matched one, which keeps its weights.

    Args:
        selector: Which nodes of the graph.
        make: A function that gets a copy of the layer and returns the layer that holds it, such as
            `keras.layers.SpectralNormalization`; the class itself will do.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> wrap("conv_*", lambda layer: layer).verb
        'wrap'
    """
    if not callable(make):
        raise RuleError(
            f"wrap({selector!r}, {make!r}): pass a function of the layer that returns one around it"
        )
    return StructureRule("wrap", as_target("wrap", selector), make, {}, check_scope("wrap", scope), caller())


def configure(selector: Target, /, **config: Any) -> StructureRule:
    """Change the configuration of layers, and keep their weights.

    Args:
        selector: Which nodes of the graph. Layers without one of these settings are skipped.
        **config: Settings as the layer's constructor takes them: `activation="gelu"`,
            `kernel_regularizer="l2"` (which then counts in the loss), `dtype="mixed_float16"`,
            `rate=0.5`.

    Raises:
        RuleError: If no setting is given.

    Example:
        >>> print(configure("conv_*", kernel_regularizer="l2"))
        configure('conv_*', kernel_regularizer='l2')
    """
    if not config:
        raise RuleError(f"configure({selector!r}): say what to set, as in configure({selector!r}, rate=0.5)")
    return StructureRule("configure", as_target("configure", selector), None, config, "layer", caller())


def rename(selector: Target, name: str | Callable[[Any], str | None], /) -> StructureRule:
    """Give layers other names.

    Args:
        selector: Which nodes of the graph.
        name: The name, or a function of the node that returns it, or `None` to leave the node alone.

    Example:
        >>> print(rename("dense_7", "head"))
        rename('dense_7', 'head')
    """
    return StructureRule("rename", as_target("rename", selector), name, {}, "layer", caller())


def rewire(
    selector: Target, source: str, /, *, argument: int | None = None, scope: Scope = "layer"
) -> StructureRule:
    """Let layers read another tensor.

    Args:
        selector: Which nodes of the graph.
        source: Path of the layer whose output they shall read, in the same model.
        argument: Which of the tensors that they read now, counted from 0; needed for several.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Example:
        >>> print(rewire("head", "pool", argument=0))
        rewire('head', 'pool', argument=0)
    """
    given = {} if argument is None else {"argument": argument}
    return StructureRule(
        "rewire", as_target("rewire", selector), source, given, check_scope("rewire", scope), caller()
    )


def duplicate(selector: Target, /, times: int = 1) -> StructureRule:
    """Call a copy of each matched layer, with the same weights, once more on its output.

    Args:
        selector: Which nodes of the graph.
        times: How many copies.

    Raises:
        RuleError: If `times` is less than 1.

    Example:
        >>> print(duplicate("block_3", times=2))
        duplicate('block_3', times=2)
    """
    if not is_count(times):
        raise RuleError(f"duplicate({selector!r}, times={times!r}): a whole number, at least 1")
    return StructureRule(
        "duplicate", as_target("duplicate", selector), None, {"times": int(times)}, "layer", caller()
    )


def unshare(selector: Target, /) -> StructureRule:
    """Give each call of a layer that is called several times a layer of its own, with equal weights.

    Example:
        >>> print(unshare("embedding"))
        unshare('embedding')
    """
    return StructureRule("unshare", as_target("unshare", selector), None, {}, "layer", caller())


def share(selector: Target, /) -> StructureRule:
    """Let all matched layers be the first of them, with its weights.

    Example:
        >>> print(share("tower_?"))
        share('tower_?')
    """
    return StructureRule("share", as_target("share", selector), None, {}, "layer", caller())


def inline(selector: Target, /) -> StructureRule:
    """Take nested models apart: what is inside of them becomes part of the model around them.

    Example:
        >>> print(inline("encoder"))
        inline('encoder')
    """
    return StructureRule("inline", as_target("inline", selector), None, {}, "layer", caller())


def change_input(
    shape: Sequence[int | None], *, channels: str = "mean", selector: Target = "*"
) -> StructureRule:
    """Give a model an input of another shape; weights are kept where shapes allow.

    Args:
        shape: The new shape without the batch, such as `(None, None, 20)`.
        channels: Where convolutions read another number of channels, what their new kernels are:
            `"mean"`: each channel the mean of the old ones; `"repeat"`: the old ones over and over;
            both scaled so that a sum over channels keeps its size. `"zero"`: the old ones, and zeros.
        selector: Which input, of a model that has several.

    Raises:
        RuleError: If `channels` is none of the three words, or the shape is none.

    Example:
        >>> print(change_input((64, 64, 20), channels="zero"))
        change_input('*', shape=(64, 64, 20), channels='zero')
    """
    if channels not in ("mean", "repeat", "zero"):
        raise RuleError(f"change_input(..., channels={channels!r}): channels is 'mean', 'repeat' or 'zero'")
    if not isinstance(shape, list | tuple) or not all(size is None or is_count(size) for size in shape):
        raise RuleError(
            f"change_input({shape!r}): a shape is a list of sizes without that of the batch, None for any: "
            "change_input((64, 64, 20))"
        )
    options = {"shape": tuple(shape), "channels": channels}
    target = as_target("change_input", selector)
    return StructureRule("change_input", target, None, options, "layer", caller())


def prune(selector: Target, /, channels: Which | None = None, *, heads: Which | None = None) -> StructureRule:
    """Remove channels (units) or attention heads of layers for real, and from everything that reads them.

    Channels that an `Add` joins go together, BatchNormalization and depthwise convolutions lose
    theirs, of a convolution in groups whole groups go, what reads them loses the rows of its kernel,
    through concatenation and flattening, too. A head takes its part of the four kernels of its layer
    with it; what the layer reads and makes stays as it is.
    Which go is settled when the plan is made, from the weights of that model.

    Args:
        selector: Which Dense, convolution and attention layers.
        channels: A fraction: so many of the channels with the smallest kernels (L2 norm over all
            layers that share them) go; or which: positions, a slice, a mask.
        heads: The same for the heads of `MultiHeadAttention` and `GroupQueryAttention`, counted in
            the query; the weakest are those with the smallest output kernel. In grouped attention
            each key and value head that stays must keep equally many query heads, and a fraction
            takes whole groups.

    Raises:
        RuleError: If the fraction is not between 0 and 1, or both or none of the two are given.

    Example:
        >>> print(prune("conv_*", channels=0.3))
        prune('conv_*', channels=0.3)
        >>> print(prune("attention_*", heads=[0, 3]))
        prune('attention_*', heads=[0, 3])
    """
    if (channels is None) == (heads is None):
        raise RuleError("prune(...) takes channels= or heads=, one of the two: prune('conv_*', channels=0.3)")
    word, given = ("channels", channels) if heads is None else ("heads", heads)
    places = which_go(selector, word, given)
    target = as_target("prune", selector)
    if isinstance(target, Pattern):
        raise RuleError("prune(...) takes a selector, not a pattern")
    return StructureRule("prune", target, None, {word: places}, "layer", caller())


def rule(selector: Target, /, *, scope: Scope = "layer") -> Callable[[Callable[[Any], Any]], StructureRule]:
    """Make a rule of a function of a node or match.

    The function returns a layer (which takes the place of the node, or of the whole block that a
    pattern found), a list of layers, a rule or a list of rules about the nodes that it was given
    (`remove(match.bn)`), or `None` to leave everything as it is.

    Args:
        selector: Which nodes of the graph, or which blocks.
        scope: `"layer"` for all calls of a matched layer, `"call"` for the matched calls alone.

    Example:
        >>> @rule("dense_*")
        ... def drop_small(node):
        ...     return remove(node) if node.config["units"] < 8 else None
        >>> type(drop_small).__name__
        'StructureRule'
    """

    def decorate(function: Callable[[Any], Any]) -> StructureRule:
        return making_rule("rule", selector, function, scope=scope)

    return decorate

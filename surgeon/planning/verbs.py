"""What each verb of a structural rule does to one node or block, as edits."""

from __future__ import annotations

from typing import Any

import keras

from surgeon import paths
from surgeon.errors import RuleError, RuleFileError, near_misses
from surgeon.graph import GraphEditor, Node, Ref
from surgeon.planning.layers_of_data import described_layer
from surgeon.planning.templates import Template, has_automatic_name, snake, template
from surgeon.roundtrip.copying import copy_op, stock_class
from surgeon.roundtrip.reading import stock_config
from surgeon.rules import Filled, StructureRule
from surgeon.rules.replacement import is_layer
from surgeon.select import Match, Pattern, World, first_calls


class Skipped(Exception):  # noqa: N818 - it is no error: its text says why a node is left alone
    """A rule leaves a node alone; the text says why."""


class Hands:
    """Turns rules into calls of an editor.

    Args:
        editor: The editor of the graph.
        world: The graph as it was before this rule.
        templates: Where new layers are noted.

    Attributes:
        waiting: By path, the layers to be renamed whose turn is still to come.
    """

    def __init__(self, editor: GraphEditor, world: World, templates: list[Template]) -> None:
        self.editor = editor
        self.world = world
        self.templates = templates
        self.waiting: dict[str, Node] = {}
        self._aside: dict[str, str] = {}

    def act(self, rule: StructureRule, target: Node | Match, *, alone: bool) -> None:
        """Do to one node or block what a rule says.

        Args:
            rule: The rule.
            target: The node or block.
            alone: Whether it is the only one that the rule matched.

        Raises:
            Skipped: If it stays as it is.
        """
        if rule.verb in ("replace", "rule"):
            self._replace(rule, target, alone=alone)
        elif isinstance(target, Match):
            if rule.verb != "remove":
                raise RuleError(
                    f"{rule.origin}: {rule.verb} takes a selector, not a pattern: write @rule(pattern) and "
                    f"return {rule.verb}(match.name, ...)"
                )
            for node in reversed(list(target)):
                self.editor.remove(node.path, **rule.options)
        else:
            getattr(self, f"_{rule.verb}")(rule, target, _calls(rule, target), alone=alone)

    def end_of(self, match: Match) -> str:
        """Return the path of the node that a block ends in."""
        return self.world.graphs[match.model][match.outputs[0].node].path

    # --- new layers in the place of old ones ----------------------------------------------------

    def _replace(self, rule: StructureRule, target: Node | Match, *, alone: bool) -> None:
        made = rule.make_any(target)
        if made is None:
            raise Skipped("the function returned None")
        if _holds_rules(made):
            self._follow(rule, made)
            return
        chain = _chain(rule, target, made)
        if isinstance(target, Match):
            self._collapse(target, chain, alone=alone)
            return
        calls = _calls(rule, target)
        name = target.name
        if calls is not None and self._count(target) > 1:
            name = self.editor.free_name(target.path, f"{target.name}_{target.call_index}")
        first = self._new(chain[0], name if _is_nameless(chain[0]) else _layer_of(chain[0]).name)
        op = first.make()
        self.editor.replace(target.path, op, slot=self._slot, calls=calls, sources=_sources(chain[0], target))
        path = paths.join(target.path.rpartition("/")[0], op.name)
        for one in chain[1:]:
            path = self._after(path, one, None, base=target.name, alone=alone)

    def _collapse(self, match: Match, chain: list[Any], *, alone: bool) -> None:
        end = self.end_of(match)
        base = end.rpartition("/")[2]
        name = base if _is_nameless(chain[0]) else _layer_of(chain[0]).name
        op = self._new(chain[0], name).make()
        sources = chain[0].sources if isinstance(chain[0], Filled) else [node.path for node in match]
        if not isinstance(chain[0], Filled):
            sources = _alike(match, op) or sources[:1]
        # A block before this one may have been replaced already: what it put out is another tensor now.
        now: dict[Ref, Ref] = {}
        for node in match:
            now.update(zip(node.inputs, self.editor.inputs_now(match.model, node.key), strict=False))
        self.editor.collapse(
            [[ref.node, ref.index] for ref in (now.get(ref, ref) for ref in match.reads)],
            [match.outputs[0].node, match.outputs[0].index],
            op,
            model=match.model,
            slot=self._slot,
            sources=sources,
        )
        path = paths.join(match.model, op.name)
        self.editor.prune()
        for one in chain[1:]:
            path = self._after(path, one, None, base=base, alone=alone)

    def _follow(self, rule: StructureRule, made: Any) -> None:
        """Carry out the rules that a function of a rule returned."""
        rules = made if isinstance(made, list | tuple) else [made]
        for one in rules:
            if not isinstance(one, StructureRule) or isinstance(one.selector, Pattern):
                raise RuleError(
                    f"{rule.origin}: {rule} returned {one} among rules: return rules about single nodes alone"
                )
        for one in rules:
            for node in self._meant(one):
                self.act(one, node, alone=True)

    def _meant(self, rule: StructureRule) -> list[Node]:
        """Return the nodes that a rule is about, as they were before this rule."""
        if isinstance(rule.selector, Pattern):
            return []
        return list(rule.selector.resolved(self.world).find(first_calls(self.world.nodes)))

    def _wrap(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone
        inner = copy_op(node.op)
        outer = StructureRule(rule.verb, rule.selector, lambda _: rule.make(inner), {}, "layer", rule.origin)
        made = outer.make_layer(node)
        at = next((path for path, layer in paths.walk(made) if layer is inner), None) if made else None
        if at is None:
            raise RuleError(
                f"{rule.failed_on(node)}: the layer that it returned does not hold the one it was given"
            )
        name = node.name if made.name == inner.name or has_automatic_name(made) else made.name
        new = self._new(made, name, "inner", {"at": at})
        self.editor.replace(node.path, new.make(), slot=self._slot, calls=calls, kind="wrapped")

    def _configure(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone
        config = stock_config(node.op)
        missing = [key for key in rule.options if key not in config]
        if missing:
            raise Skipped(f"{node.class_name} has no setting {missing[0]!r}{near_misses(missing[0], config)}")
        try:
            made = stock_class(node.op).from_config({**config, **rule.options})
        except Exception as error:
            last = str(error).strip().splitlines()[-1:]  # before it, Keras prints the whole config
            kind = RuleFileError if rule.is_data else RuleError
            raise kind(f"{rule.failed_on(node)}: {type(error).__name__}: {''.join(last)}") from error
        new = self._new(made, node.name)
        self.editor.replace(node.path, new.make(), slot=self._slot, calls=calls, kind="configured")

    # --- insert, duplicate ----------------------------------------------------------------------

    def _insert_after(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        path, output = node.path, rule.options.get("output", 0)
        for one in self._made(rule, node):
            path = self._after(path, one, calls, base=node.name, alone=alone, output=output)
            calls, output = None, 0

    def _insert_before(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        chain = self._made(rule, node)
        for one in chain:
            name = self._insert_name(one, node.path, node.name, alone=alone)
            op = self._new(one, name).make()
            given = {"calls": calls, "argument": rule.options.get("argument"), "sources": _sources(one, None)}
            self.editor.insert_before(node.path, op, slot=self._slot, **given)

    def _duplicate(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone
        _check_is_layer(rule, node)
        path = node.path
        for _ in range(rule.options["times"]):
            name = self.editor.free_name(node.path, f"{node.name}_copy")
            op = self._new(_stock_copy(node.op), name).make()
            self.editor.insert_after(
                path, op, slot=self._slot, calls=calls, sources=[node.path], kind="duplicated"
            )
            path = paths.join(node.path.rpartition("/")[0], name)

    def _after(
        self, path: str, one: Any, calls: Any, *, base: str, alone: bool = False, output: int = 0
    ) -> str:
        name = self._insert_name(one, path, base, alone=alone)
        op = self._new(one, name).make()
        self.editor.insert_after(
            path, op, slot=self._slot, calls=calls, output=output, sources=_sources(one, None)
        )
        return paths.join(path.rpartition("/")[0], name)

    def _insert_name(self, one: Any, path: str, base: str, *, alone: bool) -> str:
        layer = _layer_of(one)
        if _is_nameless(one):
            return self.editor.free_name(path, f"{base}_{snake(stock_class(layer).__name__)}")
        return layer.name if alone else self.editor.free_name(path, f"{base}_{layer.name}")

    def _made(self, rule: StructureRule, node: Node) -> list[Any]:
        made = rule.make_any(node)
        if made is None:
            raise Skipped("the function returned None")
        return _chain(rule, node, made)

    # --- without new layers ---------------------------------------------------------------------

    def _remove(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone
        self.editor.remove(node.path, calls=calls, **rule.options)

    def _rename(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone, calls
        name = rule.make_any(node)
        if name is None:
            raise Skipped("the function returned None")
        if not isinstance(name, str):
            raise RuleError(f"{rule.failed_on(node)}: a name is text, not {name!r}")
        path = self._aside.pop(node.path, node.path)
        self.waiting.pop(node.path, None)
        self._make_way(rule, paths.join(node.path.rpartition("/")[0], name))
        self.editor.rename(path, name)

    def _make_way(self, rule: StructureRule, path: str) -> None:
        """Put a layer aside whose name another one gets before it gets its own: names may go round."""
        there = self.waiting.get(path)
        if there is None or rule.make_any(there) in (None, there.name):
            return
        aside = self.editor.free_name(path, there.name)
        self._aside[path] = paths.join(path.rpartition("/")[0], aside)
        self.editor.rename(path, aside)

    def _rewire(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone
        self.editor.rewire(node.path, rule.make, argument=rule.options.get("argument"), calls=calls)

    def _inline(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone, calls, rule
        self.editor.inline(node.path)

    def _change_input(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del calls
        if not alone:
            raise RuleError(f"{rule.origin}: {rule} matches several inputs: say which, with selector=")
        spec = node.outputs[0]
        shape = (spec.shape[0], *rule.options["shape"])
        layer = keras.layers.InputLayer(batch_shape=shape, dtype=spec.dtype, name=node.name)
        op = self._new(layer, node.name).make()
        self.editor.replace_input(node.path, op, shape=shape, dtype=spec.dtype, slot=self._slot)

    def _unshare(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del alone, calls
        count = self._count(node)
        if count == 1:
            raise Skipped("it is called once")
        _check_is_layer(rule, node)
        ops, slots = [], []
        for number in range(1, count):
            name = self.editor.free_name(node.path, f"{node.name}_{number}")
            ops.append(self._new(_stock_copy(node.op), name).make())
            slots.append(self._slot)
        self.editor.unshare(node.path, ops, slots=slots)

    def _share(self, rule: StructureRule, node: Node, calls: Any, *, alone: bool) -> None:
        del calls
        if alone:
            raise RuleError(
                f"{rule.origin}: {rule} matches {node.path!r} alone: there is nothing to share it with"
            )
        keeper = self._meant(rule)[0]
        if keeper.path == node.path:
            raise Skipped("it is the one that stays")
        self.editor.share(keeper.path, node.path)

    # --- helpers --------------------------------------------------------------------------------

    def _new(self, one: Any, name: str, how: Any = "same", details: Any = None) -> Template:
        """Note a new layer under a name; `_slot` is then its position."""
        if isinstance(one, Filled):
            how, details, one = one.compute, one.details, one.layer
        made = template(one, name, how, details)
        self.templates.append(made)
        return made

    @property
    def _slot(self) -> int:
        return len(self.templates) - 1

    def _count(self, node: Node) -> int:
        return sum(1 for other in self.world.nodes if other.path == node.path)


def _calls(rule: StructureRule, target: Node | Match) -> list[int] | None:
    return [target.call_index] if rule.scope == "call" and isinstance(target, Node) else None


def _chain(rule: StructureRule, target: Any, made: Any) -> list[Any]:
    """Return new layers as a list.

    Raises:
        RuleError: If something else is among them.
    """
    chain = [described_layer(rule, one) for one in (made if isinstance(made, list | tuple) else [made])]
    wrong = [one for one in chain if not is_layer(one) and not isinstance(one, Filled)]
    if wrong or not chain:
        what = wrong[0] if wrong else made
        kind = f"the class {what.__name__}" if isinstance(what, type) else f"{type(what).__name__} {what!r}"
        raise RuleError(f"{rule.failed_on(target)}: it returned {kind}, not a layer or None")
    return chain


def _holds_rules(made: Any) -> bool:
    if isinstance(made, list | tuple):
        return bool(made) and isinstance(made[0], StructureRule)
    return isinstance(made, StructureRule)


def _check_is_layer(rule: StructureRule, node: Node) -> None:
    """Check that a layer can be copied with its weights.

    Raises:
        RuleError: If it is a model.
    """
    if node.inner is not None:
        raise RuleError(f"{rule.failed_on(node)}: a nested model is not copied: inline(...) takes it apart")


def _layer_of(one: Any) -> Any:
    return one.layer if isinstance(one, Filled) else one


def _is_nameless(one: Any) -> bool:
    return has_automatic_name(_layer_of(one))


def _sources(one: Any, target: Node | None) -> list[str]:
    if isinstance(one, Filled):
        return list(one.sources)
    return [] if target is None else [target.path]


def _alike(match: Match, op: Any) -> list[str]:
    """Return the node of a block whose weights a layer of the same class takes over."""
    return [node.path for node in match if node.class_name == type(op).__name__][:1]


def _stock_copy(op: Any) -> Any:
    """Return a copy of a layer that was not built; another operation is copied as it is."""
    if not isinstance(op, keras.layers.Layer):
        return copy_op(op)
    return stock_class(op).from_config(stock_config(op))

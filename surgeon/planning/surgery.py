"""Carrying out rules that change the structure, on a graph: which edits they come to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras

from surgeon.errors import GraphError, NoMatchError, RuleError, RuleFileError
from surgeon.graph import Carrying, Change, GraphEditor, ModelGraph, Node
from surgeon.planning.carrying import carried_names, reader
from surgeon.planning.keeping import covers
from surgeon.planning.pruning import Pruning
from surgeon.planning.templates import Template
from surgeon.planning.verbs import Hands, Skipped
from surgeon.roundtrip import sites
from surgeon.roundtrip.reading import layer_weights
from surgeon.roundtrip.settling import settle
from surgeon.rules import StructureRule
from surgeon.select import Match, Pattern, Selector, World, first_calls


@dataclass
class Performed:
    """What one rule did.

    Attributes:
        matched: Paths of the layers, or of the ends of the blocks, that it matched.
        skipped: Path and reason of what it left alone.
        changes: The edits.
    """

    matched: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class Surgery:
    """A graph, the edits that were made to it so far, and the new layers that these need.

    Attributes:
        graph: The graph as it is now, with its true shapes.
        journal: All edits, in order.
        templates: New layers; a position in this list is a slot of the journal.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self.graph = graph
        self.journal: list[Change] = []
        self.templates: list[Template] = []
        self._carried: list[Carrying] = []

    def perform(self, rule: StructureRule) -> Performed:
        """Carry out a rule once; it never sees what it made itself.

        Raises:
            NoMatchError: If it matches nothing.
            RuleError: If a function of the user failed, or what it returned makes no sense.
            GraphError: If the graph would break.
        """
        world = World(self.graph)
        targets = find_targets(rule, world)
        if rule.verb == "prune":
            return self._prune(rule, targets)
        editor = GraphEditor(self.graph, str(rule))
        hands = Hands(editor, world, self.templates)
        done = Performed(skipped=_misses(rule, world))
        # Backwards, so that the numbers of the calls before stay what they are, and the paths of what is
        # inside of a model that gets another name, or is taken apart.
        backwards = rule.scope == "call" or rule.verb in ("rename", "inline")
        if rule.verb == "rename":
            hands.waiting = {target.path: target for target in targets if isinstance(target, Node)}
        for target in reversed(targets) if backwards else targets:
            done.matched.append(target.path if isinstance(target, Node) else hands.end_of(target))
            try:
                hands.act(rule, target, alone=len(targets) == 1)
            except Skipped as skip:
                done.skipped.append((done.matched[-1], str(skip)))
            except GraphError as error:
                raise GraphError(f"{rule.origin}: {rule}: {error}") from error
        if rule.verb == "configure" and len(done.skipped) == len(targets):
            path, why = next((one for one in done.skipped if "close:" in one[1]), done.skipped[0])
            kind = RuleFileError if rule.is_data else RuleError
            raise kind(f"{rule.origin}: {rule}: no matched layer can be configured so: {path!r}: {why}")
        try:
            channels = rule.options.get("channels") if rule.verb == "change_input" else None
            sets_flag = rule.verb == "configure" and "trainable" in rule.options
            done.changes = self._close(editor, channels, free_flags=not sets_flag)
        except GraphError as error:
            raise GraphError(f"{rule.origin}: {rule}: {error}") from error
        return done

    def _prune(self, rule: StructureRule, targets: list[Node | Match]) -> Performed:
        nodes = [target for target in targets if isinstance(target, Node)]
        pruning = Pruning(rule, nodes, self.graph, reader(self._carried, self.templates))
        editor = GraphEditor(self.graph, str(rule))
        pruning.edit(editor, self.templates)
        changes = self._close(editor)
        misfit = next((change.path for change in changes if change.kind == "refitted"), None)
        if misfit is not None:
            raise GraphError(
                f"{rule.origin}: {rule}: {misfit!r} reads channels in a way that cannot be followed"
            )
        return Performed([node.path for node in nodes], pruning.skipped, changes)

    def _close(
        self, editor: GraphEditor, channels: str | None = None, *, free_flags: bool = True
    ) -> list[Change]:
        """Finish an editor: drop what is dead, find the shapes, and make anew what no longer fits."""
        editor.prune()
        editor.settle_paths()
        changes = list(editor.journal)
        carried = list(editor.carried)
        graph = editor.finish()
        for _ in range(len(self.graph.nodes) + 1):
            settled = settle(graph)
            loose = free_flags and self._free(changes, carried)
            if not settled.misfits and not loose:
                break
            refit = GraphEditor(graph, editor.rule)
            for path, op in settled.misfits.items():
                self._refit(refit, path, op, channels)
            changes += refit.journal
            carried += refit.carried
            graph = refit.finish()
        self.graph = settled.graph
        self._carried += carried
        notes = {each.slot: self._note(each) for each in carried}
        changes = [self._noted(change, notes) for change in changes]
        self.journal += changes
        return changes

    def _refit(self, editor: GraphEditor, path: str, op: Any, channels: str | None) -> None:
        shapes = {w.path: list(w.shape) for w in layer_weights(op)} if channels else {}
        if channels and _reads_channels(editor.node(path), shapes):
            details = {"shapes": shapes, "how": channels, "summed": _summed(editor.node(path))}
            self.templates.append(Template(op, "adapt_inputs", details))
        else:
            self.templates.append(Template(op))
        slot = len(self.templates) - 1
        if isinstance(op, keras.layers.InputLayer):
            spec, model = keras.tree.flatten(op.output)[0], path.rpartition("/")[0]
            editor.replace_input(path, op, shape=tuple(spec.shape), dtype=spec.dtype, model=model, slot=slot)
        else:
            editor.replace(path, op, slot=slot, kind="refitted")

    def _free(self, changes: list[Change], carried: list[Carrying]) -> bool:
        """Let layers train that were made anew and have new values; return whether a flag said otherwise.

        A new value that never trains is of no use. What such a layer carries stays frozen: see `keep`.
        """
        anew = {change.slots[0] for change in changes if change.kind in ("configured", "refitted")}
        loose = False
        for each in carried:
            if each.slot not in anew or not _is_built_layer(each.op):
                continue
            made = self.templates[each.slot]
            new = carried_names(made, each.op, each.sources)[1]
            if new and "new" not in made.details:
                self.templates[each.slot] = replace(made, details={**made.details, "new": list(new)})
                loose = loose or not each.op.trainable
                each.op.trainable = made.layer.trainable = True
        return loose

    def _note(self, each: Any) -> str:
        if each.slot < 0 or not isinstance(each.op, keras.layers.Layer):
            return ""
        kept, new = carried_names(self.templates[each.slot], each.op, each.sources)
        fresh = [f"{path} {shape}" for path, shape in new.items()]
        parts = []
        if kept and self.templates[each.slot].how in ("same", "inner"):
            parts.append(f"carries {', '.join(kept)}")
        elif kept:
            parts.append(f"computes {', '.join(kept)}")
        if fresh:
            parts.append(f"new values: {', '.join(fresh)}")
        return "; ".join(parts)

    def _noted(self, change: Change, notes: dict[int, str]) -> Change:
        said = [notes[slot] for slot in change.slots[:1] if notes.get(slot)]
        return replace(change, note="; ".join(filter(None, [change.note, *said]))) if said else change


def _is_built_layer(op: Any) -> bool:
    return isinstance(op, keras.layers.Layer) and not isinstance(op, keras.layers.InputLayer) and op.built


def _reads_channels(node: Node, shapes: dict[str, Any]) -> bool:
    """Whether what a layer reads differs in the number of channels alone, however it was flattened."""
    convolves = any(len(shape) >= 3 for shape in shapes.values())
    return not node.is_input and (convolves or node.class_name == "Normalization")


def _inputs(rule: StructureRule, matched: list[Node], world: World) -> list[Node | Match]:
    """Return those of the nodes that are inputs of the outermost model."""
    found: list[Node | Match] = [node for node in matched if node.is_input and "/" not in node.path]
    if not found:
        inputs = ", ".join(repr(node.path) for node in world.graphs[""] if node.is_input)
        raise NoMatchError(
            f"{rule.origin}: {rule} matches no input of the model, only {matched[0].path!r} "
            f"({matched[0].class_name}); its inputs: {inputs}"
        )
    return found


def _summed(node: Node) -> list[str]:
    """Return the weights of a layer that each output adds up over its input channels."""
    alone = node.class_name.startswith("Depthwise") or node.class_name == "Normalization"
    return [] if alone else ["kernel", "pointwise_kernel"]


def _misses(rule: StructureRule, world: World) -> list[tuple[str, str]]:
    """Return where a pattern could end and does not, with the part that failed."""
    if not isinstance(rule.selector, Pattern):
        return []
    misses = rule.selector.find(world.graphs[""]).misses
    return [(miss.end, f"{miss.part}: {miss.reason}") for miss in misses]


def _inside(selector: Selector | Pattern, world: World) -> str:
    """Return what to do if a selector means layers inside of other layers, which no graph calls; or `""`."""
    if isinstance(selector, Pattern):
        return ""
    everywhere = World(world.graphs[""], sites(world.graphs[""]))
    try:
        found = list(selector.resolved(everywhere).find(everywhere.inside))
    except RuleError:
        return ""
    path = found[0].path
    around = [node for node in world.nodes if covers(node.path, path)]
    if not around:
        return (
            f"{selector} matches {path!r} ({found[0].class_name}), which an attribute of the model holds and "
            "no graph calls: there is nothing to change around it. freeze, train and lora reach it"
        )
    outer = max(around, key=lambda node: len(node.path))
    return (
        f"{selector} matches {path!r} ({found[0].class_name}), which is a part of {outer.class_name} "
        f"{outer.path!r}. What changes the structure reaches the layers that a model's graph calls, "
        f"not those that a layer calls in plain Python: write the rule about {outer.path!r}. "
        "freeze, train and lora reach inside"
    )


def _check_calls(rule: StructureRule, matched: list[Node], world: World) -> None:
    """Check that the number of a call says which one is meant: each model counts its own."""
    for path in dict.fromkeys(node.path for node in matched):
        models = [model for model, graph in world.graphs.items() if any(n.path == path for n in graph)]
        if len(models) > 1:
            raise RuleError(
                f"{rule.origin}: {rule}: {path!r} is called in several models, of which {models[-1]!r} is "
                "nested in another: no single call of it can be changed; take that apart first: "
                f"inline({models[-1]!r})"
            )


def find_targets(rule: StructureRule, world: World) -> list[Node | Match]:
    """Return the nodes or blocks that a rule is about.

    Raises:
        NoMatchError: If there is none; names near misses, or the part of the pattern that failed.
    """
    try:
        if isinstance(rule.selector, Pattern):
            return list(rule.selector.find(world.graphs[""]).required())
        nodes = world.nodes if rule.scope == "call" else first_calls(world.nodes)
        matched: list[Node] = list(rule.selector.resolved(world).find(nodes))
    except NoMatchError as error:
        raise NoMatchError(f"{rule.origin}: {rule}: {_inside(rule.selector, world) or error}") from error
    except RuleError as error:
        raise type(error)(f"{rule.origin}: {rule}: {error}") from error
    if rule.scope == "call":
        _check_calls(rule, matched, world)
    if rule.verb == "change_input":
        return _inputs(rule, matched, world)
    if rule.verb == "insert_after":
        return list(matched)
    found = [node for node in matched if not node.is_input]
    if not found:
        how = {"remove": "removed", "rename": "renamed", "replace": "replaced"}.get(
            rule.verb, "changed like this"
        )
        raise NoMatchError(f"{rule.origin}: {rule} matches only inputs of the model, which cannot be {how}")
    return list(found)

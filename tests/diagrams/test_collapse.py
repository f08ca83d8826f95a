"""Fewer cards: nothing is lost, nothing is counted twice, and no cycle appears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.diagrams import draw
from surgeon.diagrams.blocks import block, by_order, by_prefix, by_suffix, by_waist
from surgeon.diagrams.detail import arrange
from surgeon.diagrams.fold import fold, folded
from surgeon.diagrams.names import block_of, pattern_of
from surgeon.diagrams.quotient import Make, contract, digraph, is_acyclic, levelled, union
from surgeon.diagrams.repeats import Likeness, repeated, repeats
from surgeon.diagrams.view import View, view_of
from surgeon.graph import Ref, TensorSpec
from tests.diagrams.graphs import MODELS, Builder, chain, nested, resnet, shared, tangle, totals, weight

DETAILS = ("auto", "overview", "blocks", "layers", "weights")


def shown(graph, detail):
    (view,), _ = arrange([view_of(graph)], detail)
    return view


def assert_acyclic(view: View) -> None:
    assert nx.is_directed_acyclic_graph(digraph(view))
    for card in view.cards.values():
        if card.inner:
            assert_acyclic(card.inner)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MODELS)
def test_every_element_is_shown_once(name, detail):
    graph = MODELS[name]
    figures = shown(graph, detail).figures
    assert (figures.frozen, figures.trainable, figures.state) == totals(graph)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MODELS)
def test_every_call_is_on_one_card(name, detail):
    graph = MODELS[name]
    view = shown(graph, detail)
    members = [member for card in view.cards.values() for member in card.members]
    assert sorted(members) == sorted(graph.nodes)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MODELS)
def test_no_cycle_appears(name, detail):
    assert_acyclic(shown(MODELS[name], detail))


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_no_way_of_joining_makes_a_cycle(count, seed):
    view = view_of(tangle(count, seed))
    blocks = ((assign, block) for assign in (by_prefix, by_suffix, by_waist, by_order))
    runs = ((repeats(likeness), repeated) for likeness in get_args(Likeness))
    ways: list[tuple[Callable[[View], dict[str, str]], Make]] = [(fold, folded), *blocks, *runs]
    for assign, make in ways:
        owner = assign(view)
        assert is_acyclic(view, owner), assign
        assert contract(view, owner, make).figures == view.figures


@given(st.integers(1, 30), st.integers(0, 10**6), st.data())
def test_levels_make_any_assignment_acyclic(count, seed, data):
    view = view_of(tangle(count, seed))
    owner = {key: data.draw(st.sampled_from("xyz")) for key in view.cards}
    assert is_acyclic(view, levelled(view, owner))


def test_a_graph_of_hundreds_fits_on_a_page():
    graph = resnet(60, frozen=30)
    assert len(graph) > 400
    view = shown(graph, "auto")
    titles = [f"{card.name}…{card.last}×{card.repeats}" for card in view.cards.values() if card.repeats > 1]
    assert titles == ["conv2_block1…conv2_block30×30", "conv2_block31…conv2_block60×30"]
    assert view.size <= 8


@pytest.mark.parametrize("count", [3, 40, 130, 400])
def test_an_overview_has_three_cards_in_a_hundred_layers_but_one_at_least(count):
    for graph in (tangle(count), chain(count, trains_from=count // 2), resnet(count // 7)):
        view = shown(graph, "overview")
        assert view.size <= max(1, 0.03 * len(graph))
        assert_acyclic(view)


def test_an_overview_in_one_card_tells_what_the_model_is():
    build = Builder()
    joined = build.add("join", "Concatenate", build.input("left"), build.input("right", shape=(None, 7)))
    key = build.residual("block_1", joined)
    graph = build.graph(
        key, build.add("head", "Dense", key, weights=(weight("kernel", (4, 5)),), shape=(None, 5))
    )
    (card,) = shown(graph, "overview").cards.values()
    assert (card.name, card.last) == ("join", "head")
    assert card.kinds == "Conv2D ×2, BN ×2, ReLU ×2, Concatenate, +2"
    assert card.ends == "8×8×4, 7 → 8×8×4, 5"
    assert card.layers == len(graph)
    drawing = draw(graph, detail="overview")
    assert card.kinds in drawing.text
    assert "8×8×4, 7 → 8×8×4, 5" in drawing.text
    assert ">Conv2D ×2, BN ×2, ReLU ×2, Concatenate, +2<" in drawing.svg
    assert ">8×8×4, 7 → 8×8×4, 5<" in drawing.svg


def test_the_shapes_of_an_overview_are_those_of_each_output():
    build = Builder()
    key = build.add("lstm", "LSTM", build.input(), weights=(weight("kernel", (2, 2)),))
    specs = (TensorSpec((None, 9, 3), "float32"), TensorSpec((None, 3), "float32"))
    build.nodes[key] = replace(build.nodes[key], outputs=specs)
    graph = replace(build.graph(), outputs=(Ref(key, 0), Ref(key, 1)))
    (card,) = shown(graph, "overview").cards.values()
    assert card.ends == "8×8×4 → 9×3, 3"


def test_an_overview_with_room_for_them_shows_inputs_apart():
    cards = list(shown(chain(100), "overview").cards.values())
    assert [card.kind == "input" for card in cards] == [True, False]
    assert cards[1].ends.startswith("→ ")


def test_an_overview_keeps_the_border_between_frozen_and_trainable():
    cards = shown(chain(200, trains_from=77), "overview").cards.values()
    assert [(card.layers, card.figures.freeze) for card in cards][1:] == [(77, "frozen"), (123, "trainable")]


def test_an_input_is_never_a_part_of_a_block():
    build = Builder()
    key = build.add("rescaling", "Rescaling", build.input())
    for number in (1, 2, 1, 2, 3):
        key = build.add(
            f"left{len(build.nodes)}_normal_{number}", "Conv2D", key, weights=(weight("kernel", (2, 2)),)
        )
    view = view_of(build.graph(key))
    owner = by_suffix(view)
    assert owner["image"] == "image"
    assert "image" not in [name for key, name in owner.items() if key != "image"]
    assert is_acyclic(view, owner)


def test_a_graph_without_any_order_still_fits():
    assert shown(tangle(400), "blocks").size < 60


def test_repeats_part_where_the_state_changes():
    cards = list(shown(chain(40, trains_from=10), "blocks").cards.values())
    assert [(card.repeats, card.figures.freeze) for card in cards] == [
        (1, "none"),
        (10, "frozen"),
        (30, "trainable"),
    ]


@pytest.mark.parametrize(("same_mask", "cards"), [(True, [1, 4]), (False, [1, 1, 1, 1, 1])])
def test_repeats_read_the_same_besides_their_chain(same_mask, cards):
    build = Builder()
    masks = [build.input(f"mask_{number}") for number in range(4)]
    key = build.input()
    for number, mask in enumerate(masks):
        inputs = (key, masks[0] if same_mask else mask)
        key = build.add(f"layer_{number}", "Attention", *inputs, weights=(weight("kernel", (2, 2)),))
    view = shown(build.graph(key), "blocks")
    assert [card.repeats for card in view.cards.values() if card.kind != "input"] == cards[1:]


def test_what_has_no_weights_goes_with_its_producer():
    build = Builder()
    key = build.conv("a", build.input())
    view = shown(build.graph(key), "layers")
    assert [card.classes for card in view.cards.values()] == [
        ("InputLayer",),
        ("Conv2D", "BatchNormalization", "ReLU"),
    ]


def test_an_output_of_the_model_is_not_folded_away():
    build = Builder()
    conv = build.add("c", "Conv2D", build.input(), weights=(weight("kernel", (2, 2)),))
    relu = build.add("r", "ReLU", conv)
    assert len(shown(build.graph(conv, relu), "layers").cards) == 3


def test_a_layer_with_two_readers_keeps_its_followers_apart():
    build = Builder()
    conv = build.add("c", "Conv2D", build.input(), weights=(weight("kernel", (2, 2)),))
    relu = build.add("r", "ReLU", conv)
    assert len(shown(build.graph(build.add("add", "Add", conv, relu)), "layers").cards) == 4


def test_a_shared_layer_is_one_card_and_a_reference():
    cards = {card.key: card for card in shown(shared(), "layers").cards.values()}
    assert cards["embed"].figures.parameters == 25
    assert (cards["embed:1"].kind, cards["embed:1"].origin, cards["embed:1"].rows) == ("shared", "embed", ())


def test_a_nested_model_called_twice_is_drawn_once():
    cards = shown(nested(calls=2), "layers").cards
    assert cards["encoder_1"].inner is not None
    assert cards["encoder_1:1"].inner is None


def test_many_nested_models_are_closed():
    build = Builder()
    key = build.input()
    for number in range(30):
        inner = chain(4, prefix=f"stage_{number}/")
        key = build.add(f"stage_{number}", "Functional", key, inner=inner, weights=inner.weights)
    cards = list(shown(build.graph(key), "auto").cards.values())
    assert [card.repeats for card in cards] == [1, 30]
    assert cards[1].layers == 30 * 5


def test_both_of_two_models_are_joined_alike():
    before, after = resnet(30, frozen=0), resnet(30, frozen=12)
    views, _ = arrange([view_of(before), view_of(after)], "blocks")
    assert [list(view.cards) for view in views] == [list(views[0].cards)] * 2


def test_the_union_of_two_orders_that_disagree_is_noticed():
    one, other = Builder(), Builder()
    image = one.input()
    one.dense("b", one.dense("a", image))
    image = other.input()
    other.dense("a", other.dense("b", image))
    views = [view_of(build.graph()) for build in (one, other)]
    assert not nx.is_directed_acyclic_graph(digraph(union(views)))
    arranged, _ = arrange(views, "blocks")
    assert [view.figures.parameters for view in arranged] == [50, 50]


@pytest.mark.parametrize(
    ("name", "block_name"),
    [
        ("conv2_block1_1_conv", "conv2_block1"),
        ("block_16_project_BN", "block_16"),
        ("block2a_expand_conv", "block2a"),
        ("block14_sepconv2", "block14"),
        ("expanded_conv_3_squeeze_excite", "expanded_conv_3"),
        ("convnext_tiny_stage_0_block_2_layernorm", "convnext_tiny_stage_0_block_2"),
        ("transformer_layer_11/attention", "transformer_layer_11"),
        ("encoder_layer_3_mlp", "encoder_layer_3"),
        ("conv2d_7", ""),
        ("dense", ""),
        ("predictions", ""),
    ],
)
def test_the_block_in_a_name(name, block_name):
    assert block_of(name) == block_name


def test_names_of_repeats_have_one_pattern():
    assert pattern_of("block_1") == pattern_of("block_23")
    assert pattern_of("block2a") == pattern_of("block7d")
    assert pattern_of("query") != pattern_of("key")

"""A selector that matches nothing says why, and what comes close."""

from __future__ import annotations

import re
import time

import pytest

from surgeon.errors import NoMatchError
from surgeon.select import as_selector, isa, name, where
from tests.select.nodes import MODEL, node


def message(selector, nodes=MODEL):
    with pytest.raises(NoMatchError) as caught:
        as_selector(selector).find(nodes)
    return str(caught.value)


def test_a_misspelt_glob_names_close_paths_and_the_next_step():
    text = message("blok_1*")
    assert text.startswith("no layer matches 'blok_1*'; close: 'block_1_dense'")
    assert text.endswith("`surgeon inspect` lists the layers by path and class")


def test_a_glob_that_matches_nothing_in_a_large_model_is_answered_soon():
    many = [node(f"stage_{n % 7}/block_{n}/attention_layer/conv_dense_{n}") for n in range(5000)]
    started = time.process_time()
    text = message("stage_1/blok_4[0-9]9*/attention_layer/conv_dense_*/" + "x*" * 20, many)
    assert "close" not in text
    assert "close: 'stage_1/block_407" in message("stage_1/blok_407*/attention_layer/*", many)
    message("**/" + "x" * 5000 + "*", many)
    assert time.process_time() - started < 20  # a second or two; it was minutes


BLOCKS = [node(f"block_{n}_{end}") for n in (1, 6, 16) for end in ("expand", "expand_relu", "depthwise_BN")]
BLOCKS += [node("encoder/attention_0/query"), node("encoder/attention_0/key"), node("head")]


@pytest.mark.parametrize(
    "glob, close",
    [
        ("blok_16_*", "'block_16_expand', 'block_16_expand_relu', 'block_16_depthwise_BN'"),
        ("*_dephtwise_BN", "'block_1_depthwise_BN', 'block_6_depthwise_BN', 'block_16_depthwise_BN'"),
        ("blok_*_relu", "'block_1_expand_relu', 'block_6_expand_relu', 'block_16_expand_relu'"),
        ("block_1[67]_expnd", "'block_16_expand', 'block_1_expand', 'block_6_expand'"),
        ("encodr/**", "'encoder/attention_0/query', 'encoder/attention_0/key'"),
        ("**/atention_?/query", "'encoder/attention_0/query', 'encoder/attention_0/key'"),
        ("querry*", "'encoder/attention_0/query'"),
        ("BLOCK_16_*N", "'block_16_depthwise_BN' (letter case counts)"),
    ],
)
def test_a_misspelt_glob_names_what_its_letters_come_close_to(glob, close):
    assert f"no layer matches {glob!r}; close: {close}. `surgeon" in message(glob, BLOCKS)


@pytest.mark.parametrize("glob", ["x*", "*convolution*", "decoder/*", "?"])
def test_a_glob_that_is_like_nothing_gets_no_near_misses(glob):
    assert message(glob, BLOCKS).startswith(f"no layer matches {glob!r}. `surgeon")


def test_a_misspelt_inner_layer_is_found_by_its_last_part():
    nodes = [node("transformer_layer_0/_feedforward_intermediate_dense"), node("pooler")]
    assert "close: 'transformer_layer_0/_feedforward_intermediate_dense'" in message(
        "_feedforward_intermediat_dense", nodes
    )


def test_letter_case_is_pointed_out():
    assert "; close: 'stem' (letter case counts)" in message("STEM")
    assert "; close: 'Dense' (letter case counts)" in message(isa("DENSE"))


def test_a_glob_that_would_match_deeper_is_told_so():
    assert "'**/conv_1' matches, among others 'encoder/conv_1'" in message("conv_1")


def test_a_misspelt_class_names_close_classes():
    assert "no layer matches isa('Dens'); close: 'Dense'" in message(isa("Dens"))
    assert "; close: 'Conv2D'" in message(isa("Conv2d"))


def test_a_regular_expression_that_matches_a_piece_is_told_so():
    assert "it matches a piece of 'block_1_dense', but must match the whole path" in message(
        name(re.compile("block"))
    )
    assert "close: 'stem'" in message(name(re.compile("stemm+")))


def test_each_part_of_a_combination_answers_for_itself():
    text = message(isa("Dense") & "blok_1*")
    assert "alone, isa('Dense') matches 3, name('blok_1*') matches none; close: 'block_1_dense'" in text
    assert "alone, isa('Dense') matches 3, name('stem') matches 1" in message(isa("Dense") & "stem")
    text = message(isa("Dens") | "stemm")
    assert "for isa('Dens'): close: 'Dense'" in text
    assert "for name('stemm'): close: 'stem'" in text
    assert "isa('Layer') matches all 6 of them" in message(~isa("Layer"))


def test_a_predicate_says_that_it_refused_all():
    assert "the predicate is false for all 6 of them" in message(where(lambda _: False))


def test_no_layers_at_all():
    assert "there is no layer to choose from" in message("a", ())

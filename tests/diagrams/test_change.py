"""Before and after: what was added, removed, newly frozen, newly trainable."""

from __future__ import annotations

import re

from surgeon.diagrams import draw_change
from surgeon.diagrams.compare import compared, notes_of
from surgeon.diagrams.detail import arrange
from surgeon.diagrams.theme import LIGHT
from surgeon.diagrams.view import view_of
from tests.diagrams.graphs import Builder, chain, empty, nested, partly, resnet, weight


def notes(before, after, detail="layers"):
    old, new = view_of(before), view_of(after)
    (old, new), _ = arrange([compared(old, new), compared(new, old)], detail)
    texts = [
        {key: note.text for key, note in notes_of(*pair).items()}
        for pair in ((old, "before"), (new, "after"))
    ]
    return texts[0], texts[1]


def test_nothing_changed():
    assert notes(chain(3), chain(3)) == ({}, {})
    assert LIGHT.changed not in draw_change(chain(3), chain(3)).svg


def test_what_froze_and_what_began_to_train_is_counted():
    assert notes(chain(2), chain(2, trains_from=1)) == ({}, {"dense_0": "25 newly frozen"})
    assert notes(chain(2, trains_from=1), chain(2)) == ({}, {"dense_0": "25 newly trainable"})


def test_one_card_may_have_both():
    def one(kernel, bias):
        build = Builder()
        weights = (weight("kernel", (3, 3), kernel), weight("bias", (3,), bias))
        return build.graph(build.add("d", "Dense", build.input(), weights=weights))

    assert notes(one(9, 0), one(2, 3))[1] == {"d": "7 newly frozen, 3 newly trainable"}


def test_what_is_gone_is_not_called_frozen():
    def one(units, trains):
        build = Builder()
        weights = (weight("kernel", (3, units), 3 * units), weight("bias", (units,), trains))
        return build.graph(build.add("d", "Dense", build.input(), weights=weights))

    assert notes(one(8, 8), one(5, 5))[1] == {"d": "12 weights removed"}
    assert notes(one(5, 5), one(8, 8))[1] == {"d": "12 weights added"}
    assert notes(one(8, 8), one(8, 0))[1] == {"d": "8 newly frozen"}


def test_added_and_removed_layers_are_framed():
    before, after = Builder(), Builder()
    before.dense("old", before.input())
    after.dense("extra", after.dense("new", after.input()))
    assert notes(before.graph("old"), after.graph("extra")) == (
        {"old": "− removed"},
        {"new": "+ added", "extra": "+ added"},
    )
    drawing = draw_change(before.graph("old"), after.graph("extra"))
    # Three cards and the legend.
    assert drawing.svg.count(f'stroke="{LIGHT.changed}"') + drawing.svg.count(f'fill="{LIGHT.changed}"') >= 4
    assert "added / removed" in drawing.svg


def test_another_class_under_the_same_name():
    before, after = Builder(), Builder()
    before.add("pool", "MaxPooling2D", before.input())
    after.add("pool", "AveragePooling2D", after.input())
    assert notes(before.graph("pool"), after.graph("pool"))[1] == {"pool": "was MaxPooling2D"}


def test_within_nested_models():
    before, after = nested(depth=2), nested(depth=2, trains=False)
    assert notes(before, after)[1] == {
        "encoder_2": "912 newly frozen",
        "encoder_2/a_conv": "152 newly frozen",
        "encoder_2/encoder_1": "456 newly frozen",
        "encoder_2/encoder_1/a_conv": "152 newly frozen",
        "encoder_2/encoder_1/b_1_conv": "152 newly frozen",
        "encoder_2/encoder_1/b_2_conv": "152 newly frozen",
        "encoder_2/b_1_conv": "152 newly frozen",
        "encoder_2/b_2_conv": "152 newly frozen",
    }


def test_the_heading_of_a_nested_model_says_what_changed_on_a_line_of_its_own():
    drawing = draw_change(nested(), nested(trains=False), detail="layers")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg)
    (below,) = [word for word in words if word.startswith("nested") and word.endswith("frozen")]
    assert "…" not in below
    assert words[words.index(below) + 1].endswith("newly frozen")


def test_a_run_of_repeats_parts_where_the_change_ends():
    removed, changed = notes(resnet(20, frozen=0), resnet(20, frozen=8), "blocks")
    assert removed == {}
    assert changed == {
        "conv1_conv": "152 newly frozen",
        "block:conv2_block1": f"{8 * 304 / 1000:.2f}K newly frozen",
    }


def test_a_removed_block_parts_the_run_on_both_sides():
    before, after = resnet(9, frozen=0), resnet(9, frozen=0)
    kept = {key: node for key, node in after.nodes.items() if not key.startswith("conv2_block5_")}
    first = kept["conv2_block6_1_conv"]
    add = kept["conv2_block6_add"]
    from dataclasses import replace

    from surgeon.graph import Ref

    kept["conv2_block6_1_conv"] = replace(first, args=(Ref("conv2_block4_add"),))
    kept["conv2_block6_add"] = replace(add, args=(Ref("conv2_block4_add"), add.args[1]))
    removed, changed = notes(before, replace(after, nodes=kept), "blocks")
    assert removed == {"block:conv2_block5": "− removed"}
    assert changed == {}


def test_a_picture_of_nothing_becoming_something():
    assert "added" in str(draw_change(empty(), partly()))


def test_titles_and_text():
    drawing = draw_change(chain(2), chain(2, trains_from=1), titles=("as it was", "as it is"))
    assert "as it was" in drawing.svg
    text = str(drawing)
    assert text.startswith("as it was (Functional): 50 of 50 params trainable")
    assert "[25 newly frozen]" in text

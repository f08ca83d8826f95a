"""What selectors match, how they combine and print."""

from __future__ import annotations

import copy
import functools
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.errors import RuleError
from surgeon.select import as_selector, isa, name, where
from tests.select.nodes import MODEL, NODES, SELECTORS, Conv2D, Dense, Layer, WideDense, node


def paths(selector):
    return [found.path for found in as_selector(selector).find(MODEL)]


def test_a_string_is_a_glob_over_the_path():
    assert paths("block_*") == ["block_1_dense", "block_2_dense", "block_2_conv"]
    assert paths("**/*conv*") == ["block_2_conv", "encoder/conv_1"]
    assert as_selector("block_*") == name("block_*")


def test_a_regular_expression_matches_the_whole_path():
    assert paths(name(re.compile(r"block_\d_dense"))) == ["block_1_dense", "block_2_dense"]
    assert paths(name(re.compile(r"STEM", re.IGNORECASE))) == ["stem"]
    assert not name(re.compile("block")).matches(MODEL[1])


def test_subclasses_count_and_both_forms_agree():
    dense = ["block_1_dense", "block_2_dense", "encoder/stack/dense"]
    assert paths(isa("Dense")) == paths(isa(Dense)) == dense
    assert paths(isa("WideDense")) == paths(isa(WideDense)) == ["block_2_dense"]
    assert len(paths(isa("Layer"))) == len(MODEL)


def test_a_class_is_matched_by_identity_where_there_is_a_live_layer():
    namesake = type("Dense", (Layer,), {})
    assert not isa(namesake).matches(node("d", Dense))
    assert isa("Dense").matches(node("d", namesake))


def test_without_a_live_layer_the_name_decides():
    bare = node("d", "Dense")
    for selector in (isa("Dense"), isa(Dense), isa("keras.layers.Dense")):
        assert selector.matches(bare), selector
    assert not isa("Layer").matches(bare)
    assert not isa("dense").matches(bare)


def test_names_of_classes_may_be_qualified():
    live = node("d", WideDense)
    assert isa(f"{Dense.__module__}.Dense").matches(live)
    assert not isa("elsewhere.Dense").matches(live)


def test_the_public_name_of_a_keras_class_is_known():
    keras = pytest.importorskip("keras")
    live = node("d", "Dense")
    object.__setattr__(live, "op", keras.layers.Dense(3, name="d"))
    for known in ("Dense", "keras.layers.Dense", "keras.Layer", "keras.layers.Layer"):
        assert isa(known).matches(live), known
    assert not isa("keras.layers.Conv2D").matches(live)


def test_predicates_see_the_node():
    assert paths(where(lambda one: one.config.get("units", 0) >= 8)) == [
        "block_2_dense",
        "encoder/stack/dense",
    ]
    assert paths(where(lambda one: isinstance(one.layer, Conv2D) and one.name == "stem")) == ["stem"]


def test_strings_combine_on_either_side():
    assert (
        paths(isa("Dense") & "block_*")
        == paths("block_*" & isa("Dense"))
        == ["block_1_dense", "block_2_dense"]
    )
    assert paths("stem" | isa("WideDense")) == paths(isa("WideDense") | "stem") == ["stem", "block_2_dense"]
    assert paths(~isa("Dense") & ~name("encoder/**")) == ["stem", "block_2_conv"]


@given(SELECTORS, SELECTORS, SELECTORS, NODES)
def test_selectors_obey_the_laws_of_sets(a, b, c, one):
    def same(left, right):
        return left.matches(one) == right.matches(one)

    assert same(a & b, b & a)
    assert same(a | b, b | a)
    assert same(a & (b & c), (a & b) & c)
    assert same(a & (b | c), a & b | a & c)
    assert same(~(a & b), ~a | ~b)
    assert same(~~a, a)
    assert (a & ~a).matches(one) is False
    assert (a | ~a).matches(one) is True
    assert (a & b).matches(one) == (a.matches(one) and b.matches(one))


@given(SELECTORS)
def test_a_selector_prints_as_it_would_be_typed(selector):
    assert eval(repr(selector), {"isa": isa, "name": name}) == selector


@given(SELECTORS, st.lists(NODES, max_size=5))
def test_find_returns_what_matches_in_order_or_says_that_nothing_does(selector, nodes):
    expected = tuple(one for one in nodes if selector.matches(one))
    if expected:
        assert selector.find(nodes) == expected
    else:
        with pytest.raises(RuleError, match="no layer matches") as caught:
            selector.find(nodes)
        assert str(selector) in str(caught.value)


@given(SELECTORS)
def test_selectors_are_values(selector):
    assert pickle.loads(pickle.dumps(selector)) == selector == copy.deepcopy(selector)
    assert hash(selector) == hash(copy.deepcopy(selector))
    assert len({selector, copy.deepcopy(selector)}) == 1


def test_how_selectors_print():
    assert str(as_selector("block_*")) == "'block_*'"
    assert str(isa(Dense)) == "isa(Dense)"
    assert (
        str(name(re.compile("a", re.IGNORECASE | re.DOTALL)))
        == "name(re.compile('a', re.IGNORECASE | re.DOTALL))"
    )
    assert str(isa("A") & "b" & ~(isa("C") | "d")) == "isa('A') & name('b') & ~(isa('C') | name('d'))"
    assert re.fullmatch(r"where\(lambda at tests/select/test_selectors.py:\d+\)", str(where(lambda _: True)))
    assert re.fullmatch(r"where\(paths at .*test_selectors.py:\d+\)", str(where(functools.partial(paths))))
    assert str(where(callable)) == "where(callable)"


def test_a_failing_predicate_is_named_and_chained():
    def is_wide(one):
        return one.config["units"] >= 8

    with pytest.raises(RuleError) as caught:
        (isa("Layer") & where(is_wide)).find(MODEL)
    text = str(caught.value)
    assert re.match(
        r"where\(is_wide at .*test_selectors\.py:\d+\) failed on 'stem' \(Conv2D\): KeyError: 'units'", text
    )
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("use", [lambda s: s and s, lambda s: s or s, lambda s: not s, bool])
def test_and_or_not_are_refused(use):
    with pytest.raises(
        RuleError, match=r"isa\('Dense'\) is neither true nor false: combine selectors with & \| ~"
    ):
        use(isa("Dense"))


@pytest.mark.parametrize(
    "value, message",
    [
        (Dense, r"the class Dense is not a selector: write isa\(Dense\)"),
        (["a", "b"], r"\['a', 'b'\] is not a selector: join several with \|"),
        (re.compile("a"), r"write name\(re.compile\(\.\.\.\)\)"),
        (lambda _: True, r"write where\(\.\.\.\) around a predicate"),
        (None, r"None is not a selector: write a path such as 'dense_1'"),
        (3, r"3 is not a selector"),
    ],
)
def test_what_is_no_selector_says_what_to_write(value, message):
    with pytest.raises(RuleError, match=message):
        as_selector(value)
    with pytest.raises(RuleError, match=message):
        isa("Dense") & value
    with pytest.raises(RuleError, match=message):
        value | isa("Dense")


def test_a_layer_is_no_selector_but_has_a_path():
    class Live(Layer):
        name = "dense_1"

        def get_config(self):
            return {}

    with pytest.raises(RuleError, match=r"is not a selector: write its path, 'dense_1'"):
        as_selector(Live())  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=r"takes a class or its name, not .*: write isa\('Live'\)"):
        isa(Live())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: isa("Conv*"), r"'Conv\*' is not the name of a class: write it whole"),
        (lambda: isa(""), r"'' is not the name of a class"),
        (lambda: isa(3), r"isa\(\.\.\.\) takes a class or its name, not 3"),  # type: ignore[arg-type]
        (lambda: name(3), r"name\(\.\.\.\) takes a glob or a compiled regular expression"),  # type: ignore[arg-type]
        (lambda: name(re.compile(b"a")), r"regular expression over text"),  # type: ignore[arg-type]
        (lambda: where("units"), r"where\(\.\.\.\) takes a function of a node, not 'units'"),  # type: ignore[arg-type]
        (lambda: where(Dense), r"where\(\.\.\.\) takes a function of a node"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_refused_at_once(make, message):
    with pytest.raises(RuleError, match=message):
        make()

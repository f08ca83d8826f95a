"""Rule files: what they say, and what is said of them when they are wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon import library
from surgeon.errors import RuleError, RuleFileError
from surgeon.rules import dump_rules, freeze, load_rules, replace, train
from surgeon.rules.data import READY_MADE
from surgeon.rules.files import LARGEST
from surgeon.rules.yaml_text import read_yaml
from surgeon.select import channels, elements, isa, name, rows
from tests.rules.cases import data_rules, structure_rules

DESIGN = """\
rules:
- freeze: "*"
- freeze: {isa: Dense, name: "block_*"}     # all of these
  weights: [kernel]
- train: Conv_1
  kernel: {channels: 0.1, by: magnitude}
- train: {any: [predictions, "head/*"]}     # one of these; `not:` negates
  kernel: {elements: 0.01, by: random, seed: 7}
- train: {all: [{not: stem}, {regex: 'block_\\d'}]}
  bias:
    rows: {from: 0, to: 8}
  gamma: {channels: [0, 3]}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_text(text, file="r.yaml"):
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_rules(file)

    return load_text


def test_the_form_of_the_design(load):
    rules = load(DESIGN)
    assert rules == (
        freeze("*"),
        freeze(isa("Dense") & "block_*", "kernel"),
        train("Conv_1", kernel=channels(0.1, by="magnitude")),
        train(name("predictions") | "head/*", kernel=elements(0.01, by="random", seed=7)),
        train(~name("stem") & name(re.compile(r"block_\d")), bias=rows(slice(0, 8)), gamma=channels([0, 3])),
    )
    assert [rule.origin for rule in rules] == ["r.yaml:2", "r.yaml:3", "r.yaml:5", "r.yaml:7", "r.yaml:9"]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_too(load, indent):
    data = {"rules": [{"freeze": 'a\t"\\é😀/*'}, {"train": "d", "kernel": {"rows": 0.25, "by": "random"}}]}
    expected = (freeze('a\t"\\é😀/*'), train("d", kernel=rows(0.25, by="random")))
    for escaped in (True, False):
        assert load(json.dumps(data, indent=indent, ensure_ascii=escaped), "r.json") == expected
    assert load("\ufeff" + json.dumps(data), "r.json") == expected
    assert load(json.dumps(data), "r.yml") == load("\ufeff" + json.dumps(data)) == expected


@given(st.lists(data_rules() | structure_rules(), min_size=1, max_size=3))
def test_what_is_dumped_loads_back_equal(tmp_path_factory, rules):
    file = tmp_path_factory.mktemp("rules") / "r.yaml"
    file.write_text(dump_rules(rules), encoding="utf-8")
    assert load_rules(file) == tuple(rules)


def test_what_is_dumped_is_easy_to_read():
    rules = [freeze("*"), [train("head", "bias", kernel=channels(0.1, by="magnitude"))]]
    assert dump_rules(rules) == (
        "rules:\n- freeze: '*'\n- train: head\n  weights: [bias]\n  kernel: {channels: 0.1, by: magnitude}\n"
    )


def test_what_cannot_be_dumped_says_why():
    with pytest.raises(RuleError, match="there is no rule to write"):
        dump_rules([])
    with pytest.raises(RuleError, match="because it is Python code"):
        dump_rules(replace("d", lambda _: None))
    with pytest.raises(RuleError, match=r"did you mean freeze\('d'\)"):
        dump_rules("d")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[on, no, yes, off, y]", ["on", "no", "yes", "off", "y"]),
        ("[2024-01-01, 0x1f, 1_000, 1:30, =, <<]", ["2024-01-01", "0x1f", "1_000", "1:30", "=", "<<"]),
        ("[010, -3, +4]", [10, -3, 4]),
        ("[1e-1, 0.5, .5, 1., -1.5E+2]", [0.1, 0.5, 0.5, 1.0, -150.0]),
        ("[true, False, null, ~, '', '3', !!str 3]", [True, False, None, None, "", "3", "3"]),
        ("", None),
        ("# nothing", None),
    ],
)
def test_plain_words_are_read_as_in_yaml_1_2(text, expected):
    data, _ = read_yaml(text)
    assert repr(data) == repr(expected)


BOMB = "rules:\n" + "".join(f"- &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9))
WRONG = [
    ("rules:\n- freze: a\n", 2, "this one has only 'freze'; close: 'freeze'"),
    ("rules:\n- freeze: a\n  weigths: [k]\n", 3, "'weigths' is no key of a rule; close: 'weights'"),
    (
        "rules:\n- train: a\n  k:\n    channels: 0.1\n    by: magnitud\n",
        5,
        "no criterion 'magnitud'; close: 'magnitude'",
    ),
    (
        "rules:\n- train: a\n  k:\n    channels: 1.5\n    by: magnitude\n",
        4,
        "a fraction is above 0 and at most 1",
    ),
    ("rules:\n- train: a\n  k:\n    by: random\n    chanels: 3\n", 5, "no key 'chanels'; close: 'channels'"),
    ("rules:\n- freeze:\n    any:\n    - a\n    - isa: Dense*\n", 5, "'Dense*' is not the name of a class"),
    ("rules:\n- freeze: a\n- freeze: 12\n", 3, "not 12: put a path in quotes"),
    ("rules:\n- freeze: 'a**'\n", 2, "inside a part"),
    ("rules:\n- freeze: a\n  weights:\n  - k\n  - 3\n", 5, "the name of a weight is text, not 3"),
    ("rules:\n- train: a\n  weights: [k]\n  k: {rows: [0]}\n", 2, "names the weight 'k' twice"),
    ("rules:\n- replace: a\n", 2, "replace needs 'with'"),
    ("rules:\n- new_head: a\n", 2, "'new_head' is a ready-made rule of Python"),
    (
        "rules:\n- fold_batch_nrm: a\n",
        2,
        "close: 'fold_batch_norm', 'freeze_batch_norm' (ready-made rules are",
    ),
    (
        "rules:\n- change_input: a\n  shape: [8, x]\n",
        2,
        "a shape is a list of sizes without that of the batch",
    ),
    ("ruls:\n- freeze: a\n", 1, "a rule file has no key 'ruls'; close: 'rules'"),
    ("rules:\n- freeze: a\nextra: 1\n", 3, "a rule file has no key 'extra'"),
    ("rules: []\n", 1, "the rules"),
    ("\nrules:\n", 2, "the rules"),
    ("", 1, "a rule file is a mapping with at least one key, not nothing"),
    ("- freeze: a\n", 1, "a rule file starts with a line `rules:`"),
    ("freeze: a\n", 1, "a rule file starts with a line `rules:`"),
    ("rules:\n- freeze: *\n", 2, "put a glob that starts with a star in quotes"),
    ("rules:\n- freeze: *_bn\n", 2, 'put in quotes, "*_bn"'),
    ("rules:\n- freeze: a\n  freeze: b\n", 3, "the key 'freeze' is here twice, first on line 2"),
    ("rules:\n- 3: a\n", 2, "the key 3 is not text"),
    ("rules:\n- [a]: b\n", 2, "a key is text, not a list or a mapping"),
    ("rules:\n- &a {freeze: b}\n- *a\n", 3, "aliases such as *a are not read here"),
    (BOMB, 3, "aliases such as *a0 are not read here"),
    (
        "rules: !!python/object/apply:os.system [ls]\n",
        1,
        "the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
    ),
    ("rules:\n- freeze: !!binary aGk=\n", 2, "the tag 'tag:yaml.org,2002:binary' is not allowed"),
    ("rules:\n- freeze: !mine a\n", 2, "the tag '!mine' is not allowed"),
    ("rules:\n- freeze: !!int a\n", 2, "'a' is not of the type int"),
    ("rules:\n- train: a\n  k: {rows: [" + "9" * 5000 + "]}\n", 3, "Exceeds the limit"),
    (
        "rules:\n- train: a\n  k: {rows: [99999999999999999999]}\n",
        3,
        "positions are a flat list of whole numbers",
    ),
    ("rules:\n- freeze: a\n---\nrules: []\n", 3, "not valid YAML expected a single document in the stream"),
    ("rules:\n- freeze: a: b\n", 2, "not valid YAML: mapping values are not allowed here"),
    ("rules:\n- freeze: 'a\n", 3, "not valid YAML while scanning a quoted scalar"),
    ("rules:\n\t- freeze: a\n", 2, "not valid YAML while scanning for the next token"),
    ("rules:\n- freeze: a\x00\n", 2, "the character U+0000 is not allowed"),
    ('rules:\n- freeze: "\\ud800"\n', 2, "half of a character"),
    ("rules: " + "[" * 200 + "]" * 200, 1, "more than 50 levels deep"),
    (b"rules:\n- freeze: caf\xe9\n", 2, "the file is not UTF-8 text"),
    ("rules:\n- freeze: a\n".encode("utf-16"), 1, "the file is not UTF-8 text"),
]


def test_all_ready_made_rules_are_known_to_be_of_python():
    assert list(READY_MADE) == library.__all__


@pytest.mark.parametrize("text, line, message", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(load, text, line, message):
    with pytest.raises(RuleFileError) as caught:
        load(text)
    assert str(caught.value).startswith(f"r.yaml:{line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text, line, message",
    [
        ('{"rules": [\n{"freeze": "a",}]}', 2, "not valid JSON: "),
        ('{"rules": [\n{"freeze": "a"},\n{"freze": "a"}]}', 3, "close: 'freeze'"),
        (
            '{"rules": [\n\t{"freeze": "a",\n\t "freeze": "b"}]}',
            3,
            "the key 'freeze' is here twice, first on line 2",
        ),
        ('{"rules": [{"train": "a", "k": {"rows": NaN, "by": "random"}}]}', 1, "takes a number or a list"),
        ("rules: []", 1, "not valid JSON"),
        ("[" * 100_000, 1, "not readable JSON"),
    ],
)
def test_json_files_have_lines_too(load, text, line, message):
    with pytest.raises(RuleFileError) as caught:
        load(text, "r.json")
    assert str(caught.value).startswith(f"r.json:{line}: ")
    assert message in str(caught.value)


def test_files_that_are_no_rule_files(load, tmp_path):
    load("rules:\n- freeze: a\n", "rules.yaml")
    with pytest.raises(RuleFileError, match=r"^ruels\.yaml:1: there is no such file; close: 'rules\.yaml'"):
        load_rules("ruels.yaml")
    with pytest.raises(RuleFileError, match=r"^nowhere/a\.yaml:1: there is no such file$"):
        load_rules("nowhere/a.yaml")
    with pytest.raises(
        RuleFileError, match=r"^a\.txt:1: a rule file ends in \.yaml, \.yml, \.json, not in '\.txt'"
    ):
        load("rules: []", "a.txt")
    with pytest.raises(RuleFileError, match=r"not in 'nothing'"):
        load_rules("rules")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(RuleFileError, match=r"^folder\.yaml:1: this is not a regular file"):
        load_rules("folder.yaml")
    with pytest.raises(RuleFileError, match=r"larger than 4 MiB: make large masks in Python"):
        load("#" * (LARGEST + 1))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(RuleFileError, match="this is not a regular file"):
        load_rules(pipe)


def test_a_file_that_may_not_be_read(load, monkeypatch):
    def denied(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    with pytest.raises(RuleFileError, match=r"^r\.yaml:1: the file cannot be read: Permission denied"):
        load("rules: []")


@given(
    st.binary(max_size=40) | st.text(alphabet="rules:-{}[]&*!'\"|>,? \n\tab01", max_size=40).map(str.encode)
)
def test_no_bytes_get_through_as_another_exception(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("rules")
    for suffix in ("yaml", "json"):
        for content in (raw, b"rules:\n- freeze: a\n  kernel: " + raw):
            file = folder / f"r.{suffix}"
            file.write_bytes(content)
            with contextlib.suppress(RuleFileError):
                load_rules(file)

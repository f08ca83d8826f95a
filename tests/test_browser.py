"""The driver of the browser does not wait for ever: one that hangs or dies is started once more."""

import time

import pytest

from tests.browser import _ask

ANSWERS = 'echo \'{"code": 0}\'; read line; echo \'{"code": 0, "result": "here"}\''


def shell(tmp_path, first):
    """Return a stand-in for the browser that does something else the first time."""
    script = f'if mkdir "{tmp_path}/tried" 2> /dev/null; then {first}; else {ANSWERS}; fi'
    return ["/bin/sh", "-c", script]


@pytest.mark.parametrize("first", ["sleep 60", "sleep 60 & echo '{}'; wait", "exit 1"])
def test_a_browser_that_does_not_answer_is_started_again(tmp_path, first):
    start = time.monotonic()
    assert _ask(shell(tmp_path, first), patience=5)["result"] == "here"
    assert time.monotonic() - start < 40


def test_two_that_do_not_answer_are_an_error():
    with pytest.raises(TimeoutError, match=r"twice; it said b'hm\\n'"):
        _ask(["/bin/sh", "-c", "echo hm; sleep 60"], patience=0.5)

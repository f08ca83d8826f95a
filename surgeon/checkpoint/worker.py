"""The process that Keras runs in: one file after the other, until nobody asks any more.

Run as `python -m surgeon.checkpoint.worker`. It reads one JSON object a line from its standard input and
answers each with one line: JSON, not pickle, because what opened a hostile file must not be able to make its
parent run anything. The first line says what to do with each file, the others name files.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
import traceback
from typing import Any, BinaryIO

from surgeon.errors import RefusedError, RuleError, SurgeonError

_LONGEST_REASON = 700


def main() -> None:
    """Answer requests until standard input ends."""
    answers = _take_stdout()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    order = json.loads(requests.get())
    try:
        surgery = _prepare(order)
    except Exception as error:  # told to the parent, which raises it
        _answer(answers, {"ok": False, "reason": describe(error)})
        raise
    _answer(answers, {"ok": True})
    while True:
        task = json.loads(requests.get())
        try:
            made = surgery.perform(task)
        except Exception as error:  # noqa: BLE001 - a bad file is an answer, not the end of the worker
            traceback.print_exc()
            kind = {"refused": isinstance(error, RefusedError), "by_rules": isinstance(error, RuleError)}
            _answer(answers, {"ok": False, **kind, "reason": describe(error)})
        else:
            _answer(answers, {"ok": True, **made})


def describe(error: BaseException) -> str:
    """Return what an exception says, on one line of bounded length."""
    text = " ".join(str(error).split())
    if not isinstance(error, SurgeonError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _prepare(order: dict[str, Any]) -> Any:
    from surgeon.checkpoint.surgery import Surgery

    return Surgery(
        base64.b64decode(order["rules"]),
        architecture=order["architecture"],
        imports=tuple(order["imports"]),
        drop_optimizer=order["drop_optimizer"],
        names=order["names"],
    )


def _take_stdout() -> BinaryIO:
    """Keep standard output for answers; whatever else prints there goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The parent closed the pipe or is gone, however suddenly: stop at once, also in the middle of a file.
    os._exit(0)


def _answer(answers: BinaryIO, reply: dict[str, Any]) -> None:
    answers.write(json.dumps(reply).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()

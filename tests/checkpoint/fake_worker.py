"""A worker that speaks the protocol without Keras: what it does is in the file's name."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path


def main() -> None:
    order = json.loads(sys.stdin.readline())
    log = Path(order["architecture"]) if order["architecture"] else None
    answer({"ok": True})
    for line in sys.stdin:
        task = json.loads(line)
        source = Path(task["source"])
        if log is not None:
            with log.open("a") as file:
                file.write(f"{source.name}\n")
        if task.get("compare"):
            answer({"ok": "differs" not in source.name, "reason": "other weights than Keras", "notes": []})
            continue
        answer(check(source) if task.get("check") else perform(source, Path(task["temp"])))


def answer(reply: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def check(source: Path) -> dict[str, object]:
    """Answer a dry run: the rules fit, or not, or the file cannot be loaded."""
    reason = (
        "no layer matches 'haed'; close: 'head'" if "misfit" in source.name else "ValueError: no such layer"
    )
    is_bad = "misfit" in source.name or "broken" in source.name
    return {"ok": not is_bad, "reason": reason, "by_rules": "misfit" in source.name}


def perform(source: Path, temp: Path) -> dict[str, object]:
    shutil.copyfile(source, temp)
    if "hang" in source.name:
        time.sleep(600)
    if "die" in source.name:
        sys.stderr.write("could not go on\n")
        sys.stderr.flush()
        os.abort()
    if "greedy" in source.name:
        held = bytearray(b"x") * (300 << 20)
        time.sleep(600)
        del held
    if "broken" in source.name:
        return {"ok": False, "reason": "ValueError: no such layer"}
    if "garbage" in source.name:
        temp.write_bytes(b"not an archive")
    if "slow" in source.name:
        time.sleep(0.5)
    if "growing" in source.name:
        source.write_bytes(source.read_bytes() + b"more")
    return {"ok": True, "notes": ["noted"] if "noted" in source.name else []}


if __name__ == "__main__":
    main()

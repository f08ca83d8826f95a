"""The text of a config without what differs from file to file of one architecture."""

from __future__ import annotations

import hashlib
import re

_SHARED = re.compile(rb'"shared_object_id": (-?[0-9][0-9.eE+-]*)')
_RATE = re.compile(rb'"learning_rate": -?[0-9][0-9.eE+-]*')


def plain_config(text: bytes) -> bytes:
    """Return a config's text with shared objects numbered in order and without its learning rate.

    `shared_object_id` is an address in memory. Within a JSON string its quotes would be escaped, so the
    pattern meets no string that happens to look like it.

    Example:
        >>> plain_config(b'{"shared_object_id": 140571, "learning_rate": 0.001, "shared_object_id": 140571}')
        b'{"shared_object_id": 0, "learning_rate": 0, "shared_object_id": 0}'
    """
    numbers: dict[bytes, int] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        return b'"shared_object_id": %d' % numbers.setdefault(match[1], len(numbers))

    # One pattern for both would be tried at each quote; and most configs have neither.
    if b"shared_object_id" in text:
        text = _SHARED.sub(numbered, text)
    return _RATE.sub(b'"learning_rate": 0', text) if b"learning_rate" in text else text


def digest_parts(*parts: bytes | str) -> str:
    """Return one digest of several texts, none of which can run into the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()

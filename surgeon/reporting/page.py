"""The page: one file, nothing from the network, nothing that runs but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from typing import Any

from surgeon.diagrams import DARK, LIGHT, with_ids
from surgeon.diagrams.text import clean, escape

_BACKGROUND = re.compile(rf'<polygon fill="{LIGHT.background}" stroke="none" points="[^"]*"/>\n?')
_COLORS = [field.name for field in fields(LIGHT) if field.name not in ("name", "background", "hatch")]


def page(
    *,
    title: str,
    summaries: tuple[str, str],
    pictures: tuple[str, str],
    rows: Sequence[Sequence[Any]],
    sections: Mapping[str, str],
) -> str:
    """Return the page.

    Args:
        title: Its heading; text.
        summaries: What trains before and after; text.
        pictures: The model before and after, as light SVG.
        rows: The table, as `layer_rows` gives it.
        sections: HTML of each further tab, by its name.
    """
    script = _asset("page.js")
    style = _asset("page.css").replace("/* dark pictures */", _dark_pictures())
    # `<` never stands in a script element: neither `</script>` nor `<!--` can end or hide it.
    data = json.dumps(_cleaned(rows), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, after = (
        with_ids(_BACKGROUND.sub("", svg, count=1), f"{side}-")
        for side, svg in zip(("before", "after"), pictures, strict=True)
    )
    values = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; "  # heat maps are pictures within a plot
        "base-uri 'none'; form-action 'none'",
        "title": escape(title),
        "before": before,
        "after": after,
        "before_summary": escape(summaries[0]),
        "after_summary": escape(summaries[1]),
        "tabs": "".join(_tab(name) for name in sections),
        "panels": "".join(_panel(name, html) for name, html in sections.items()),
        "style": style,
        "script": script,
        "data": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _asset("page.html"))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return [_cleaned(part) for part in value] if isinstance(value, list | tuple) else value


def _tab(name: str) -> str:
    key = name.lower()
    return (
        f'<button role="tab" id="tab-{key}" aria-controls="panel-{key}" aria-selected="false" '
        f'tabindex="-1">{name}</button>'
    )


def _panel(name: str, html: str) -> str:
    key = name.lower()
    return f'<section role="tabpanel" id="panel-{key}" aria-labelledby="tab-{key}" hidden>{html}</section>'


def _dark_pictures() -> str:
    """Return rules that give the light pictures the colours of the dark theme."""
    lines: dict[str, str] = {}
    for name in _COLORS:
        light, dark = getattr(LIGHT, name), getattr(DARK, name)
        for use in ("fill", "stroke"):
            lines.setdefault(f'[data-theme="dark"] svg [{use}="{light}"]', f"{use}:{dark}")
    lines[f'[data-theme="dark"] svg pattern [fill="{LIGHT.hatch}"]'] = f"fill:{DARK.hatch}"
    return "\n".join(f"{selector}{{{rule}}}" for selector, rule in lines.items())


def _asset(name: str) -> str:
    return files("surgeon.reporting").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""Pages of the site that are read out of the code, as hooks of mkdocs: nothing here is written twice.

The reference of the public names, of the command line and of rule files; the recipes of the cookbook, each as
a page; the gallery, the changelog and the guide for contributors, which lie outside of `docs/`.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "graphs" / "gallery"

GROUPS = {
    "selectors": ("Selectors and selections", "Which layers, and which elements of a weight.",
                  {"select", "partial"}),
    "rules": ("Rules", "What to do with them.", {"rules", "library"}),
    "planning": ("Models and plans", "From a model to a plan, and back to a model.",
                 {"planning", "roundtrip", "graph"}),
    "looking": ("Looking and checking", "Pictures, reports, exports, and proofs.",
                {"reporting", "plots", "exports", "validation", "sealing", "differences"}),
    "training": ("Training and checkpoints", "What trains when, what trained, and folders of files.",
                 {"schedules", "scoring", "deltas", "checkpoint"}),
    "errors": ("Errors", "Everything that Surgeon raises on purpose.", {"errors"}),
}  # fmt: skip
"""File, title, first sentence, and the packages whose public names stand on each page of the reference."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files in `docs/`."""
    pages = {f"reference/{name}": text for name, text in reference().items()}
    pages |= {
        f"cookbook/{path.stem}.md": recipe(path) for path in sorted((ROOT / "docs/cookbook").glob("*.py"))
    }
    for name in ("CHANGELOG", "CONTRIBUTING"):
        pages[f"{name.lower()}.md"] = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    pages["gallery/index.md"] = (GALLERY / "index.md").read_text(encoding="utf-8")
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for path in [*GALLERY.glob("*.svg"), *GALLERY.glob("*.dot")]:
        files.append(File.generated(config, f"gallery/{path.name}", abs_src_path=str(path)))
    for recipe_page in sorted(name for name in pages if name.startswith("cookbook/")):
        _section(config.nav or [], "Cookbook").append(recipe_page)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links between the repository's files lead to the site's pages."""
    markdown = markdown.replace("](../graphs/gallery/", "](gallery/").replace(
        "](../CHANGELOG.md)", "](changelog.md)"
    )
    if page.file.src_uri.startswith("cookbook/"):
        markdown = re.sub(r"\]\((\w+)\.py\)", r"](\1.md)", markdown)
    if page.file.src_uri in {"changelog.md", "contributing.md"}:
        markdown = markdown.replace("](docs/", "](")
    return markdown


def reference() -> dict[str, str]:
    """Return the pages of the reference: file → text."""
    import surgeon

    pages = {}
    listed = []
    for name, (title, text, packages) in GROUPS.items():
        targets = {
            public: where for public, where in public_names().items() if where.split(".")[1] in packages
        }
        listed += [f"- [`{public}`]({name}.md#{where})" for public, where in targets.items()]
        parts = [f"# {title}\n\n{text}\n"]
        if name == "errors":
            parts.append("What raises each, and what to do: [Errors, and what to do](../errors.md).\n")
            parts.append(inspect.getdoc(surgeon.errors) or "")
        parts += [f"::: {where}\n    options: {{heading: {public}}}\n" for public, where in targets.items()]
        pages[f"{name}.md"] = "\n".join(parts)
    pages["index.md"] = "# Reference\n\nAll public names, `surgeon.…`:\n\n" + "\n".join(
        sorted(listed, key=str.lower)
    )
    pages["commands.md"] = commands()
    pages["rule-file-schema.md"] = schema()
    return pages


def public_names() -> dict[str, str]:
    """Return where each public name is defined, as the module's path and the name there."""
    import surgeon

    found = {}
    for name in sorted(surgeon.__all__, key=str.lower):
        value = getattr(surgeon, name)
        if hasattr(value, "__module__"):  # all but `__version__`
            # A partial layer calls itself as its stock layer does, and `plan` is a module's `make_plan`.
            own = name if hasattr(import_module(value.__module__), name) else value.__name__
            found[name] = f"{value.__module__}.{own}"
    return found


def commands() -> str:
    """Return the page about the command line: what `--help` says, of every command."""
    import typer
    from typer.cli import get_docs_for_click

    from surgeon.cli.app import app

    command = typer.main.get_command(app)
    return get_docs_for_click(
        obj=command, ctx=typer.Context(command), name="surgeon", title="Commands and options"
    )


def schema() -> str:
    """Return the page with the JSON Schema of rule files."""
    import surgeon

    text = json.dumps(surgeon.rule_file_schema(), indent=2)
    return (
        "# JSON Schema of rule files\n\n"
        "`surgeon.rule_file_schema()` returns it. Editors that know it complete and check "
        f"[rule files](../rule-files.md) as one types.\n\n```json\n{text}\n```\n"
    )


def recipe(path: Path) -> str:
    """Return a page that shows a recipe: its docstring as the title, then all of the file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title, _, more = (ast.get_docstring(tree) or path.stem).partition("\n")
    code = "\n".join(text.splitlines()[tree.body[0].end_lineno or 0 :]).strip()
    return f"# {title.rstrip('.')}\n\n{more.strip()}\n\n```python\n{code}\n```\n"


def _section(nav: list[Any], title: str) -> list[Any]:
    return next(entry[title] for entry in nav if isinstance(entry, dict) and title in entry)

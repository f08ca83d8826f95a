"""README and docs say what is true: their Python runs, their rules load, their links lead somewhere."""

import re
from pathlib import Path

import pytest

import surgeon

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page, language):
    """Return `(line number, text)` of the page's code blocks in one language."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.finditer(text)
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in found if m[1] == language]


def with_blocks(language):
    pages = [page for page in PAGES if blocks(page, language)]
    assert pages
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


@with_blocks("python")
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for line, text in blocks(page, "python"):
        # Blank lines before it, so that a traceback shows the page's own line numbers.
        exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)


@with_blocks("yaml")
def test_rule_blocks_load(page, tmp_path):
    for _, text in blocks(page, "yaml"):
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        assert len(surgeon.load_rules(path)) == len(re.findall(r"^- ", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_commands_in_the_docs_exist():
    for page in PAGES:
        for _, text in blocks(page, "console"):
            for script in re.findall(r"^(?:\w+=\S+ )?((?:scripts|\.ci)/\w+)", text, re.MULTILINE):
                assert (ROOT / script).is_file(), f"{page.name} names {script}"


def test_every_subcommand_is_documented():
    from surgeon.cli.app import app

    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    commands = {
        command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
    }
    documented = set(re.findall(r"^surgeon (\w+)", page, re.MULTILINE))
    assert commands == documented

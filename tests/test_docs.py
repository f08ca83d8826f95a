"""README and docs say what is true: their Python runs, their rules load, their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

import surgeon
from surgeon.cli.app import app
from tests.shown import is_shown

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANCHOR = re.compile(r"\]\(([^)#]+)#([^)]*)\)")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page, language):
    """Return `(line number, text)` of the page's code blocks in one language."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.finditer(text)
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in found if m[1] == language]


def is_long(page):
    """Whether what a page does takes too long for the tests that are run at every change."""
    return page.parent.name == "tutorials" or page.stem == "pictures"


def with_blocks(language):
    pages = [page for page in PAGES if blocks(page, language)]
    assert pages
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            marks=[pytest.mark.slow] if is_long(page) else [],
            id=page.stem,
        )
        for page in PAGES
        if blocks(page, "python")
    ],
)
def test_what_a_page_does_gives_what_it_shows(page, tmp_path, monkeypatch):
    """Python runs, tutorials' commands too; a `text` block is what the block before it prints."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    printed = ""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line, language, block = text.count("\n", 0, found.start(2)), found[1], found[2]
        if language == "python":
            with redirect_stdout(StringIO()) as out:
                # Blank lines before it, so that a traceback shows the page's own line numbers.
                exec(compile("\n" * line + block, str(page), "exec"), names)
            printed = out.getvalue()
        elif language == "console" and page.parent.name == "tutorials":
            printed = "".join(command(words) for words in block.splitlines())
        elif language == "text":
            assert is_shown(block, printed), f"{page.name}:{line + 1} shows something else than:\n{printed}"


def command(line):
    """Run one line of a console block; return what it prints. A comment may name another exit code than 0."""
    words = shlex.split(line, comments=True)
    assert words[0] == "surgeon", f"only surgeon can be run here, not {line!r}"
    result = CliRunner().invoke(app, words[1:], env={"COLUMNS": "200"})
    code = re.search(r"# exit code (\d)", line)
    assert result.exit_code == (int(code[1]) if code else 0), result.output
    return result.stdout


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a  1,234 of 5\n", "a 1,234 of 5", True),
        ("a 1,234", "a 1,235", False),
        ("told right: 0.95", "told right: 0.91", True),
        ("told right: 0.95", "told right: 0.75", False),
        ("12.5 KB", "13.1 KB", True),
        ("a\n...\nz 2", "a\nb\nc\nz 2", True),
        ("a\n...\nz 2", "a\nb\nc\nz 3", False),
        ("a", "a\nb", False),
        ("(x)", "(x)", True),
    ],
)
def test_shown_output_is_compared(shown, printed, same):
    assert is_shown(shown, printed) == same


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_are_headings(page):
    for target, anchor in ANCHOR.findall(page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            headings = re.findall(
                r"^#+ (.*)$", (page.parent / target).read_text(encoding="utf-8"), re.MULTILINE
            )
            assert anchor in {anchor_of(heading) for heading in headings}, f"{page.name}: {target}#{anchor}"


def anchor_of(heading):
    """Return what mkdocs, and GitHub, call a heading in a link."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def test_external_links_have_the_form_of_one():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "links"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 20


def test_every_error_says_what_to_do():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \| (.+) \|$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE
    )
    known = [
        name
        for name, value in vars(surgeon.errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert [name for name, _, _ in rows] == known
    assert all(len(raised) > 10 and len(to_do) > 10 for _, raised, to_do in rows)


def test_the_glossary_is_in_order_and_has_the_words_of_the_concepts():
    words = dict.fromkeys(
        re.findall(r"^\| (\w[\w ]*) \| ", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    )
    words.pop("word")
    assert list(words) == sorted(words, key=str.lower)
    concepts = (ROOT / "docs" / "concepts.md").read_text().partition("## ")[0]
    assert {*re.findall(r"^\| (\w+) \| ", concepts, re.MULTILINE)} - {"word"} <= {*words}


def test_every_page_is_in_the_table_of_contents():
    nav = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert f"- {name}\n" in nav, f"{name} is not in .mkdocs.yml"
        if page.parent.name == "docs" and name != "index.md":
            assert f"]({name})" in index, f"docs/index.md does not lead to {name}"


def test_commands_in_the_docs_exist():
    for page in PAGES:
        for _, text in blocks(page, "console"):
            for script in re.findall(r"^(?:\w+=\S+ )?((?:scripts|\.ci)/\w+)", text, re.MULTILINE):
                assert (ROOT / script).is_file(), f"{page.name} names {script}"


def test_every_subcommand_is_documented():
    from surgeon.cli.app import app

    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")

    def names(of):
        return {
            command.name or getattr(command.callback, "__name__", "") for command in of.registered_commands
        }

    found = [group.typer_instance for group in app.registered_groups]
    groups = {group.info.name: group for group in found if group is not None}
    assert names(app) | set(groups) == set(re.findall(r"^surgeon (\w+)", page, re.MULTILINE))
    for name, group in groups.items():
        assert names(group) == set(re.findall(rf"^surgeon {name} (\w+)", page, re.MULTILINE))

"""What the command line does before it needs Keras: help, options, refusals."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from surgeon.cli.app import app
from tests.checkpoint.archives import archive, write

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "inspect",
    "plan",
    "rewrite",
    "restore",
    "diff",
    "diagram",
    "report",
    "plot",
    "export",
    "convert",
    "status",
    "delta",
]
SCRIPT = """
import sys
from surgeon.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as stop:
    code = stop.code
heavy = {{"keras", "tensorflow", "jax", "torch", "h5py", "numpy", "networkx", "rich", "wrapt", "yaml"}}
heavy = sorted(heavy & set(sys.modules))
print("IMPORTED", code, *heavy)
"""


def run(*arguments: object, env: dict[str, str] | None = None):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def run_and_list_imports(*arguments: str) -> str:
    """Run the command in a fresh process; return its exit code and the heavy modules that it imported."""
    script = SCRIPT.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.rpartition("IMPORTED")[2].strip()


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text('rules:\n- freeze: "*"\n')
    return path


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_is_light(command):
    assert run_and_list_imports(*command, "--help") == "0"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash completes here")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("pl",), "plan plot"),
        (("plot", ""), "depth mask drift"),
        (("convert", "--dr"), "--drop-optimizer --dry-run"),
    ],
)
def test_the_shell_completes(words, completed):
    surgeon = Path(sys.executable).with_name("surgeon")
    shown = subprocess.run(
        [surgeon],
        env=os.environ | {"_SURGEON_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    typed = shlex.join(["surgeon", *words])
    script = (
        f'COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _surgeon_completion "$1"; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        ["bash", "-c", f"{shown}\n{script}", "bash", surgeon], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == completed.split()


def test_a_refusal_imports_no_keras(tmp_path):
    cut = write(tmp_path / "a.keras", archive()[:-10])
    code, *imported = run_and_list_imports("inspect", str(cut)).split()
    assert code == "1"
    assert not {"keras", "tensorflow"} & set(imported)


def test_version_and_help_name_all_commands():
    assert run("--version").stdout.startswith("surgeon ")
    listed = run("--help").stdout
    assert all(name in listed for name in COMMANDS)
    assert run().exit_code == 2


def test_a_refused_file_is_one_message_and_exit_code_1(tmp_path):
    path = write(tmp_path / "a.keras", archive()[:-10])
    result = run("inspect", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {path}: not a readable zip archive")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(tmp_path):
    path = write(tmp_path / "a.keras", b"")
    result = run("--debug", "inspect", path)
    assert type(result.exception).__name__ == "RefusedError"


def test_usage_errors_have_exit_code_2(tmp_path, rules):
    model, bare = write(tmp_path / "a.keras"), write(tmp_path / "b.weights.h5")
    presets, saved, bare_folder = (tmp_path / name for name in ("preset", "saved", "empty"))
    for path in (presets / "config.json", presets / "model.weights.h5", saved / "saved_model.pb"):
        write(path, b"")
    bare_folder.mkdir()
    text, new = write(tmp_path / "c.txt", b""), tmp_path / "new.keras"
    config = write(tmp_path / "c.json", b"{}")
    copy = write(tmp_path / "copy.keras")
    bad_rules = write(tmp_path / "bad.yaml", b"rules:\n- freez: dense\n")
    cases: list[tuple[tuple[object, ...], str]] = [
        (("inspect", tmp_path / "missing.keras"), "does not exist"),
        (("inspect", text), "is not a checkpoint"),
        (("inspect", bare), "--model FILE"),
        (("inspect", tmp_path), "say which file in it (a.keras, b.weights.h5, copy.keras), or convert all"),
        (("diff", model, saved), "a SavedModel holds functions, but no layers"),
        (
            ("report", presets, model, "-o", tmp_path / "x.html"),
            "from_preset of keras_hub) and save it as one",
        ),
        (("inspect", bare_folder), "there is no checkpoint in it; give a file"),
        (("rewrite", model, "--rules", rules), "--out"),
        (("rewrite", model, "--rules", rules, "-o", tmp_path / "x.h5"), "must end in .keras or .weights.h5"),
        (("rewrite", model, "--rules", rules, "-o", model), "is what is read here"),
        (("rewrite", model, "--rules", rules, "-o", model, "--force"), "is what is read here"),
        (("rewrite", model, "--rules", rules, "-o", copy), "--force replaces it"),
        (("export", bare, "--model", config, "-o", config, "--force"), "is what is read here"),
        (("rewrite", model, "--rules", bad_rules, "-o", new), f"{bad_rules}:2:"),
        (("rewrite", model, "--rules", rules, "-o", new, "--validate", "all"), "validate"),
        (("rewrite", model, "--rules", rules, "-o", new, "-d", tmp_path / "x.bmp"), "must end in .svg"),
        (("diagram", model, "-o", tmp_path / "x.svg", "--theme", "pink"), "no theme 'pink'"),
        (("convert", text, "--rules", rules, "-o", tmp_path / "out"), "is not a checkpoint"),
        (("convert", tmp_path, "--rules", rules, "-o", tmp_path), "take the place of a source"),
        (("convert", model, "--rules", bad_rules, "-o", tmp_path / "out"), "bad.yaml:2:"),
        (("convert", model, "--rules", rules), "--out"),
        (
            ("convert", model, "-r", rules, "-o", tmp_path / "out", "--since", "new"),
            "--since new: neither a date",
        ),
    ]
    for arguments, reason in cases:
        result = run(*arguments, env={"COLUMNS": "400"})
        assert result.exit_code == 2, (arguments, result.output)
        said = " ".join(result.stderr.split())
        assert reason in said, (arguments, said)
        assert "Traceback" not in said
    assert not new.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fake_workers")
def test_convert_reports_and_exits_by_outcome(tmp_path, rules):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "a.keras")
    write(folder / "broken.keras")
    first = run("convert", folder, "--rules", rules, "-o", out, env={"COLUMNS": "200"})
    assert first.exit_code == 1
    assert "ValueError: no such layer" in first.stdout
    assert "1 converted (0 by moving bytes), 0 skipped, 1 failed" in first.stdout
    assert "Sequential, 512 weights: 1 by Keras" in first.stdout
    (folder / "broken.keras").unlink()
    second = run("convert", folder, "--rules", rules, "-o", out, "--json")
    assert second.exit_code == 0
    assert '"skipped": 1' in second.stdout
    assert second.stderr == ""


@pytest.mark.usefixtures("fake_workers")
def test_a_dry_run_shows_what_would_be_done(tmp_path, rules):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "a.keras")
    write(folder / "broken.keras", b"no archive")
    command = ("convert", folder, "--rules", rules, "-o", out, "--dry-run")
    shown = run(*command, "--since", "2d", env={"COLUMNS": "200"})
    assert shown.exit_code == 1
    assert "1 to be converted, 0 done, 1 would be refused; nothing was written" in shown.stdout
    assert "Sequential, 512 weights: 1 by moving bytes" in shown.stdout
    assert not out.exists()
    none = run(*command, "--since", "2200-01-31", env={"COLUMNS": "200"})
    assert none.exit_code == 2
    assert "changed since 2200-01-31 00:00" in none.stderr


@pytest.mark.usefixtures("fake_workers")
def test_a_reason_is_said_once(tmp_path, rules):
    folder, out = tmp_path / "in", tmp_path / "out"
    for number in range(5):
        write(folder / f"{number}_broken.keras")
    for number in range(2):
        write(folder / f"{number}_taken.keras")
        write(out / f"{number}_taken.keras", b"precious")
    shown = run("convert", folder, "--rules", rules, "-o", out, env={"COLUMNS": "1000"}).stdout
    assert shown.count("ValueError: no such layer") == 1
    assert f"5 files ({', '.join(str(folder / f'{n}_broken.keras') for n in range(3))}, ...)" in shown
    assert shown.count("is not from an earlier run") == 1
    assert "the output exists and is not from an earlier run; move it away" in shown
    status = run("status", out).stdout
    assert status.count("ValueError: no such layer") == 1
    assert "5 files (0_broken.keras, 1_broken.keras, 2_broken.keras, ...)" in status


def test_the_script_is_the_command(tmp_path, rules):
    folder = tmp_path / "in"
    write(folder / "a.keras", b"not an archive")
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "convert_checkpoints",
            folder,
            "-r",
            rules,
            "-o",
            tmp_path / "out",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "0 converted (0 by moving bytes), 0 skipped, 1 failed" in done.stdout


def test_the_script_says_what_a_bare_python_lacks(tmp_path):
    script = tmp_path / "scripts" / "convert_checkpoints"
    script.parent.mkdir()
    script.write_bytes((ROOT / "scripts" / "convert_checkpoints").read_bytes())
    bare = [sys.executable, "-I", "-S", script, "-h"]
    done = subprocess.run(bare, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"run {tmp_path / 'scripts' / 'setup'} first" in done.stderr


@pytest.mark.usefixtures("fake_workers")
def test_what_files_are_called_does_nothing_to_a_terminal(tmp_path, rules):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "[red]broken\x1b[2J\x9b2J\u202e.keras")
    write(folder / os.fsdecode(b"broken \xff.keras"))
    command = ["convert", folder, "--rules", rules, "-o", out]
    for arguments in ([*command, "--dry-run"], command, ["status", out]):
        shown = run(*arguments, env={"COLUMNS": "1000"})
        assert shown.exit_code == 1, shown.stderr
        assert "[red]broken\ufffd[2J\ufffd2J\ufffd.keras" in shown.stdout
        assert "broken \ufffd.keras" in shown.stdout or "broken \\udcff.keras" in shown.stdout
        assert not set("\x1b\x9b\u202e") & set(shown.output)

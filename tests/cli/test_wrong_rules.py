"""Rule files whose layers or settings are wrong, which only Keras can tell."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from surgeon.cli.app import app
from tests import zoo


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("insert_after: dense_1\n  layer: {Dropout: {rates: 0.5}}", "no setting 'rates'; close: 'rate'"),
        ("replace: dense_1\n  with: {Dens: {units: 3}}", "no layer 'Dens' to make from a rule file; close"),
        ("configure: dense_1\n  set: {activation: gellu}", "gellu"),
        ("configure: dense_1\n  set: {activatoin: gelu}", "no setting 'activatoin'; close: 'activation'"),
        ("change_input: '*'\n  shape: [x]", "a shape is a list of sizes"),
        ("fold_batch_norm: '*'", "a ready-made rule of Python"),
    ],
)
def test_a_rule_file_with_wrong_settings_has_exit_code_2(tmp_path, rule, reason):
    model = tmp_path / "model.keras"
    zoo.mlp().save(model)
    path = tmp_path / "wrong.yaml"
    path.write_text(f"rules:\n- {rule}\n")
    for command in (["plan", model], ["rewrite", model, "-o", tmp_path / "new.keras"]):
        arguments = [str(argument) for argument in (*command, "--rules", path)]
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        assert result.exit_code == 2, result.output
        said = " ".join(result.stderr.split())
        assert f"{path}:2" in said
        assert reason in said

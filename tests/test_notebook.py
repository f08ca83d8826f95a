"""Values show themselves in a notebook; the example notebook runs."""

from __future__ import annotations

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

import surgeon as sg
from tests import zoo

NOTEBOOK = Path(__file__).parents[1] / "docs" / "examples" / "see_it.ipynb"


def test_a_plan_shows_itself():
    model = zoo.mlp()
    plan = sg.plan(model, sg.freeze("dense_1"))
    bundle = plan._repr_mimebundle_()
    assert bundle["text/plain"] == str(plan)
    assert bundle["image/svg+xml"].startswith("<svg")
    assert set(plan._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(sg.Plan.from_json(plan.to_json())._repr_mimebundle_()) == {"text/plain"}


def test_two_outputs_of_one_notebook_share_no_id():
    model = zoo.mlp()
    pictures = [
        sg.diagram(model)._repr_mimebundle_()["image/svg+xml"],
        sg.diagram(model, theme="dark")._repr_mimebundle_()["image/svg+xml"],
        sg.plan(model, sg.freeze("dense_1"))._repr_mimebundle_()["image/svg+xml"],
    ]
    ids = [set(re.findall(r'\bid="([^"]+)"', picture)) for picture in pictures]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert not (ids[0] | ids[1]) & ids[2]
    for picture, own in zip(pictures, ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", picture)) <= own


def test_a_report_shows_itself_in_a_frame():
    model = zoo.mlp()
    shown = sg.report(model, model)._repr_html_()
    assert shown.startswith("<iframe ")
    assert 'sandbox="allow-scripts"' in shown
    assert shown.count("<") == 2


@pytest.mark.slow
def test_the_example_runs_and_shows_pictures():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": NOTEBOOK.parents[2]}}
    ).execute()
    shown = [
        output.data
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
    assert [("image/svg+xml" in data, "text/html" in data) for data in shown] == [
        (True, False),
        (True, False),
        (True, False),
        (False, True),
    ]
    assert all("text/plain" in data for data in shown)

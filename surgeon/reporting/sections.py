"""What each rule did, what validation found, how to do it again: as HTML."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from surgeon.diagrams.figures import plural
from surgeon.diagrams.text import escape
from surgeon.planning import Plan
from surgeon.planning.plan import Outcome
from surgeon.planning.text import change_text
from surgeon.validation import ValidationReport

_MOST = 40  # lines of one list; the rest is counted


def rules_section(plan: Plan | None) -> str:
    """Return what each rule matched, changed and skipped."""
    if plan is None:
        return "<p>No plan was given: <code>report(…, plan=plan)</code> tells what each rule did.</p>"
    if not plan.outcomes:
        return "<p>No rules: the model was copied as it is.</p>"
    share = f"{plan.trainable_after / plan.size:.2%}" if plan.size else "0%"
    total = (
        f"<p>{plan.trainable_before:,} → {plan.trainable_after:,} of {plan.size:,} parameters train "
        f"({share}).</p>"
    )
    return total + "<ol>" + "".join(map(_rule, plan.outcomes)) + "</ol>"


def _rule(outcome: Outcome) -> str:
    before, after = (sum(getattr(w, when) for w in outcome.weights) for when in ("before", "after"))
    changes = [f"{w.path}: {w.before:,} → {w.after:,} of {w.size:,} train" for w in outcome.weights]
    changes += map(change_text, outcome.changes)
    reasons = Counter(reason for _, reason in outcome.skipped)
    facts = [f"{plural(len(outcome.matched), 'layer')} matched"]
    facts += [f"{before:,} → {after:,} elements train"] if outcome.weights else []
    facts += [f"{count:,} skipped ({reason})" for reason, count in reasons.items()]
    if outcome.held:
        still = "moves again" if outcome.rule.startswith("train") else "holds still"
        facts.append(f"state {still}: {plural(len(outcome.held), 'weight')}")
    return (
        f"<li><code>{escape(outcome.rule)}</code><p>{escape('; '.join(facts))}</p>"
        f"{_list('layer', outcome.matched)}{_list('change', changes)}"
        # The name of the file, not its folders: a report is made to be passed on.
        f"<p class=muted>written at {escape(Path(outcome.origin).name)}</p></li>"
    )


def _list(what: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MOST])
    rest = f"<li>and {len(lines) - _MOST:,} more</li>" if len(lines) > _MOST else ""
    return f"<details><summary>{plural(len(lines), what)}</summary><ul>{shown}{rest}</ul></details>"


def validation_section(checked: ValidationReport | None) -> str:
    """Return what was compared between the two models, and what differs."""
    if checked is None:
        return "<p>Only graphs were given: there were no weights or outputs to compare.</p>"
    verdict = "equal, bit for bit" if checked.ok else "different"
    lines = [*checked.differences, *checked.notes]
    listed = f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
    css = "good" if checked.ok else "bad"
    mark = "✓" if checked.ok else "✗"
    compared = escape(", ".join(checked.compared))
    return f"<p class={css}>{mark} Compared {compared}: <b>{verdict}</b>.</p>{listed}"


def reproduce_section(plan: Plan | None, keras_version: str, backend: str) -> str:
    """Return the code that does the same again, and the versions that it was done with."""
    rules = "".join(f"    sg.{outcome.rule},\n" for outcome in plan.outcomes) if plan else "    ...,\n"
    code = (
        "import surgeon as sg\n"
        "from surgeon import *  # the names that rules are written with\n\n"
        f"plan = sg.plan(model, [\n{rules}])\ntuned = plan.apply(model)\n"
        'sg.report(model, tuned, "report.html", plan=plan)\n'
    )
    fits = (
        f"<dt>Fits the architecture</dt><dd><code>{escape(plan.architecture.digest)}</code></dd>"
        if plan
        else ""
    )
    return (
        f"<pre tabindex=0><code>{escape(code)}</code></pre><dl><dt>Surgeon</dt><dd>{_surgeon()}</dd>"
        f"<dt>Keras</dt><dd>{escape(keras_version)} on {escape(backend)}</dd>"
        f"<dt>Python</dt><dd>{platform.python_version()}</dd>{fits}</dl>"
    )


def _surgeon() -> str:
    try:
        return escape(version("surgeon-keras"))
    except PackageNotFoundError:
        return "(not installed)"

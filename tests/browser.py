"""A real Chromium for the tests, by pip alone.

The wheel of Kaleido 0.2.1 carries a headless Chromium 88 with all the libraries and fonts that it
needs. It is made to run one script, a charting library's, in an empty page and to hand back what its
`toImage` promises. Here that script is ours: it opens the page under test in a frame, acts in it,
and hands back what it finds. Events are synthetic; layout, styles, scripts and the content security
policy are the browser's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import urllib.parse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_DRIVER = """
window.Plotly = {version: "2.0.0", toImage: async () => {
  const problems = [], frame = document.createElement("iframe");
  frame.style = "position:absolute;left:0;top:0;border:0;width:%(width)dpx;height:%(height)dpx";
  document.body.appendChild(frame);
  const page = frame.contentWindow;
  page.document.open();
  for (const name of ["error", "warn"]) page.console[name] = (...all) => problems.push(all.join(" "));
  page.addEventListener("error", event => problems.push("error: " + event.message));
  page.document.addEventListener("securitypolicyviolation", event =>
    problems.push("refused: " + event.violatedDirective + " " + event.blockedURI));
  page.document.write(%(html)s);
  page.document.close();
  const wait = (time) => new Promise(done => setTimeout(done, time));
  await wait(50);
  const act = async (page, document, wait) => { %(script)s };
  let result = null;
  try { result = await act(page, page.document, wait); } catch (error) { problems.push(String(error.stack)); }
  return "data:image/svg+xml," + encodeURIComponent(JSON.stringify({result, problems}));
}};
"""
_ASK = b'{"data": {"data": [], "layout": {}}, "format": "svg", "width": 700, "height": 500, "scale": 1}\n'


PATIENCE = 90
"""Seconds after which a browser that said nothing is taken for hung. It answers in about two."""


def run_in_browser(html: str, script: str, *, width: int = 1400, height: int = 900) -> tuple[Any, list[str]]:
    """Open a page, run a script in it, and return what it returns and what the browser complained of.

    Args:
        html: The page.
        script: Body of an async function of `page` (the window), `document` and `wait` (milliseconds).
        width: Of the window, in pixels.
        height: Of the window.

    Raises:
        TimeoutError: If two browsers, one after the other, did not answer.
    """
    found = find_spec("kaleido")
    assert found is not None
    assert found.origin is not None, "the tests need kaleido==0.2.1"
    program = Path(found.origin).parent / "executable" / "kaleido"
    values = {"html": json.dumps(html), "script": script, "width": width, "height": height}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "driver.js")
        path.write_text(_DRIVER % values, encoding="utf-8")
        command = [str(program), "plotly", f"--plotlyjs={path}", "--disable-gpu", "--no-sandbox"]
        command += ["--allow-file-access-from-files", "--disable-breakpad", "--disable-dev-shm-usage"]
        answer = _ask(command)
    assert answer["code"] == 0, answer
    told = json.loads(urllib.parse.unquote(answer["result"].split(",", 1)[1]))
    return told["result"], told["problems"]


def _ask(command: list[str], *, patience: float = PATIENCE) -> dict[str, Any]:
    """Return the answer of a browser, or of a second one if the first hangs or dies, as on a busy machine."""
    heard = b""
    for _ in range(2):
        # A session of its own: the browser's helpers hold the pipe open, and have to go with it.
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as browser:
            try:
                heard, _ = browser.communicate(_ASK, timeout=patience)
            except subprocess.TimeoutExpired as late:
                heard = late.output or b""
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(browser.pid, signal.SIGKILL)
        lines = heard.splitlines()
        if len(lines) >= 2:  # the greeting and the answer
            answer: dict[str, Any] = json.loads(lines[1])
            return answer
    raise TimeoutError(f"the browser gave no answer within {patience} s, twice; it said {heard!r}")

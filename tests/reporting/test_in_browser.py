"""The page in a real browser: every interaction, no complaint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

import surgeon as sg
from tests.browser import run_in_browser

HELPERS = """
const get = id => document.getElementById(id);
const click = element => element.dispatchEvent(new page.MouseEvent("click", {bubbles: true}));
const key = (element, name) => element.dispatchEvent(new page.KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
const point = (element, kind, x, y, id = 1) => element.dispatchEvent(
  new page.PointerEvent(kind, {pointerId: id, clientX: x, clientY: y, button: 0, bubbles: true}));
const shown = () => [...document.querySelectorAll("#table tbody tr")].map(row => row.cells[0].firstChild.textContent);
const column = number => [...document.querySelectorAll("#table tbody tr")].map(row => row.cells[number].textContent);
const world = () => document.querySelector(".world:not([hidden])");
const view = () => new page.DOMMatrix(world().style.transform);
const type = text => { get("search").value = text; get("search").dispatchEvent(new page.Event("input")); };
const pick = state => { get("state").value = state; get("state").dispatchEvent(new page.Event("change")); };
const node = text => [...world().querySelectorAll("g.node")].find(g => g.getAttribute("aria-label").startsWith(text));
const middle = element => { const b = element.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; };
"""
Try = Callable[..., Any]


@pytest.fixture(scope="module")
def html() -> str:
    x = image = keras.Input((12, 12, 3), name="image")
    for number in (1, 2, 10):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(5, name="head")(x), name="little")
    plan = sg.plan(model, [sg.freeze("conv_1"), sg.train("conv_2", kernel=sg.channels([0]))])
    html: str = sg.report(model, plan.apply(model), plan=plan).html
    return html


@pytest.fixture(scope="module")
def attempt(html: str) -> Try:
    def run(script: str, **size: int) -> Any:
        result, problems = run_in_browser(html, HELPERS + script, **size)
        assert problems == []
        return result

    return run


def test_before_and_after(attempt):
    told = attempt("""
        const see = () => [get("summary").textContent, world().id, get("show-before").getAttribute("aria-pressed"), column(3)[1]];
        const after = see(); click(get("show-before")); const before = see(); click(get("show-after"));
        return [after, before, see()];""")
    assert told[0] == ["after: 237 of 457 params trainable", "world-after", "false", "112"]
    assert told[1] == ["before: 457 of 457 params trainable", "world-before", "true", "0"]
    assert told[2] == told[0]


def test_search_filter_and_sort(attempt):
    told = attempt("""
        type("conv"); const search = shown(); type("conv 10"); const both = shown(); type("nothing"); const none = [shown(), get("count").textContent];
        type(""); const states = {}; for (const state of ["frozen", "partial", "trainable", "state", "none", "changed"]) { pick(state); states[state] = shown(); }
        pick(""); const head = [...document.querySelectorAll("#table th")];
        click(head[0].firstChild); const names = shown(), up = head[0].getAttribute("aria-sort");
        click(head[0].firstChild); const back = shown(), down = head[0].getAttribute("aria-sort");
        click(head[4].firstChild); const most = column(4), reset = head[0].getAttribute("aria-sort");
        return {search, both, none, states, names, up, back, down, most, reset};""")
    assert told["search"] == ["conv_1", "conv_2", "conv_10"]
    assert told["both"] == ["conv_10"]
    assert told["none"] == [[], "0 layers"]
    assert told["states"] == {
        "frozen": ["conv_1"],
        "partial": ["conv_2"],
        "trainable": ["bn_1", "bn_2", "conv_10", "bn_10", "head"],
        "state": [],
        "none": ["image", "pool"],
        "changed": ["conv_1", "conv_2"],
    }
    assert told["names"][:6] == ["bn_1", "bn_2", "bn_10", "conv_1", "conv_2", "conv_10"]
    assert told["back"] == told["names"][::-1]
    assert (told["up"], told["down"], told["reset"]) == ("ascending", "descending", "none")
    numbers = [int(text) for text in told["most"]]
    assert numbers == sorted(numbers, reverse=True)


def test_mouse_moves_and_zooms(attempt):
    told = attempt("""
        const stage = get("stage"), start = view();
        point(stage, "pointerdown", 200, 300); point(page, "pointermove", 230, 320); point(page, "pointermove", 260, 350); point(page, "pointerup", 260, 350);
        const moved = view(); point(page, "pointermove", 400, 400); const still = view();
        const under = point => { const v = view(); return [(point[0] - v.e) / v.a, (point[1] - v.f) / v.a]; };
        const box = stage.getBoundingClientRect(), spot = [300, 200], before = under(spot);
        stage.dispatchEvent(new page.WheelEvent("wheel", {deltaY: -200, clientX: box.left + 300, clientY: box.top + 200, bubbles: true, cancelable: true}));
        const zoomed = view(), after = under(spot); click(get("zoom-out")); const out = view(); click(get("zoom-in")); const back = view();
        click(get("fit")); const fit = view();
        return {move: [moved.e - start.e, moved.f - start.f], still: still.e - moved.e, zoom: zoomed.a / moved.a, before, after, out: out.a / zoomed.a,
                back: back.a / zoomed.a, fit: [fit.a - start.a, fit.e - start.e]};""")
    assert told["move"] == pytest.approx([60, 50], abs=0.01)
    assert told["still"] == 0
    assert told["zoom"] == pytest.approx(1.35, abs=0.01)
    assert told["after"] == pytest.approx(told["before"], abs=0.1), "what is under the pointer stays there"
    assert (told["out"], told["back"]) == pytest.approx((0.8, 1.0), abs=0.001)
    assert told["fit"] == pytest.approx([0, 0], abs=0.01)


def test_two_fingers_zoom(attempt):
    ratio, moved = attempt("""
        const stage = get("stage"), start = view();
        point(stage, "pointerdown", 200, 300, 1); point(stage, "pointerdown", 300, 300, 2);
        point(page, "pointermove", 150, 300, 1); point(page, "pointermove", 350, 300, 2);
        const end = view(); point(page, "pointerup", 150, 300, 1); point(page, "pointerup", 350, 300, 2);
        const rest = view(); point(page, "pointermove", 0, 0, 1); return [end.a / start.a, view().e - rest.e];""")
    assert ratio == pytest.approx(2.0, abs=0.01)
    assert moved == 0


def test_keyboard(attempt):
    told = attempt("""
        const stage = get("stage"), start = view();
        key(stage, "ArrowRight"); const right = view().e - start.e; key(stage, "ArrowDown"); const down = view().f - start.f;
        key(stage, "+"); const zoom = view().a / start.a; key(stage, "0"); const fit = view().a / start.a;
        const first = document.querySelector("#table tbody tr"); first.focus(); key(first, "ArrowDown");
        const focused = document.activeElement.cells[0].firstChild.textContent; key(document.activeElement, "Enter");
        return {right, down, zoom, fit, focused, here: world().querySelector(".here").getAttribute("aria-label"), stage: stage.tabIndex};""")
    assert (told["right"], told["down"], told["zoom"], told["fit"]) == pytest.approx(
        (-60, -60, 1.25, 1), abs=0.01
    )
    assert told["focused"] == "conv_1"
    assert told["here"].startswith("conv_1: Conv2D → BN")
    assert told["stage"] == 0


def test_hover_and_focus_tell_the_weights(attempt):
    told = attempt("""
        const card = get("card"), conv = node("conv_2"), hidden = card.hidden;
        conv.dispatchEvent(new page.MouseEvent("mouseenter")); const hover = card.textContent;
        conv.dispatchEvent(new page.MouseEvent("mouseleave")); const gone = card.hidden;
        node("head").dispatchEvent(new page.FocusEvent("focus")); const focus = card.textContent;
        key(get("stage"), "Escape");
        return {hidden, hover, gone, focus, escaped: card.hidden, role: conv.getAttribute("role"), tab: conv.getAttribute("tabindex")};""")
    assert (told["hidden"], told["gone"], told["escaped"]) == (True, True, True)
    for text in ("conv_2/kernel", "3×3×4×4", "36 of 144 train", "bn_2/moving_mean", "state only"):
        assert text in told["hover"]
    assert "head/kernel" in told["focus"]
    assert (told["role"], told["tab"]) == ("button", "0")


def test_a_click_centres(attempt):
    told = attempt("""
        const stage = get("stage").getBoundingClientRect(), goal = [stage.left + stage.width / 2, stage.top + stage.height * 0.34];
        const head = node("head"); point(head, "pointerdown", ...middle(head)); point(page, "pointerup", ...middle(head)); click(head); await wait(400);
        const card = middle(head), row = document.querySelector("tr.here").cells[0].firstChild.textContent;
        click([...document.querySelectorAll("#table tbody tr")][1]); await wait(400);
        const conv = middle(node("conv_1"));
        point(get("stage"), "pointerdown", 100, 200); point(page, "pointermove", 160, 200); const v = view(); click(head); const dragged = view().e - v.e;
        return {goal, card, row, conv, dragged};""")
    assert told["card"] == pytest.approx(told["goal"], abs=1)
    assert told["conv"] == pytest.approx(told["goal"], abs=1)
    assert told["row"] == "head"
    assert told["dragged"] == 0, "the end of a drag is no click"


def test_dark_mode(attempt):
    told = attempt("""
        const color = element => page.getComputedStyle(element);
        const see = () => [color(document.body).backgroundColor, color(world().querySelector("polygon[fill='#0072b2']")).fill,
                           color(world().querySelector("text[fill='#0f172a']")).fill, get("theme").getAttribute("aria-pressed")];
        const light = see(); click(get("theme")); const dark = see(); click(get("theme")); return [light, dark, see()];""")
    assert told[0] == ["rgb(255, 255, 255)", "rgb(0, 114, 178)", "rgb(15, 23, 42)", "false"]
    assert told[1] == ["rgb(13, 17, 23)", "rgb(86, 180, 233)", "rgb(230, 237, 243)", "true"]
    assert told[2] == told[0]


def test_tabs(attempt):
    told = attempt("""
        const open = () => [...document.querySelectorAll("[role=tabpanel]")].filter(panel => !panel.hidden).map(panel => panel.id);
        const first = open(); click(get("tab-rules")); const rules = [open(), get("panel-rules").textContent];
        key(get("tab-rules"), "ArrowRight"); const next = [open(), document.activeElement.id, get("panel-validation").textContent];
        key(get("tab-validation"), "ArrowRight"); return {first, rules, next, last: get("panel-reproduce").textContent};""")
    assert told["first"] == ["panel-layers"]
    assert told["rules"][0] == ["panel-rules"]
    assert "train('conv_2', kernel=channels([0]))" in told["rules"][1]
    assert "1 layer matched; 112 → 0 elements train" in told["rules"][1]
    assert told["next"] == [
        ["panel-validation"],
        "tab-validation",
        "✓ Compared structure, weights, outputs: equal, bit for bit.",
    ]
    assert "sg.plan(model, [" in told["last"]


@pytest.mark.parametrize(("width", "side_by_side"), [(1400, True), (480, False)])
def test_a_narrow_window_has_one_column(attempt, width, side_by_side):
    stage, side, overflow = attempt(
        """
        const stage = get("stage").getBoundingClientRect(), side = get("side").getBoundingClientRect();
        return [[stage.right, stage.bottom], [side.left, side.top], document.documentElement.scrollWidth];""",
        width=width,
        height=800,
    )
    assert (side[0] >= stage[0]) == side_by_side
    assert (side[1] >= stage[1]) != side_by_side
    assert overflow <= width


def test_a_legend_stands_below_the_picture_and_the_table_beside_it_is_whole(attempt):
    told = attempt("""
        const items = [...document.querySelectorAll("#legend li")], scroll = document.querySelector(".scroll"), stage = get("stage").getBoundingClientRect();
        const looks = items.map(li => li.querySelector("i")).filter(Boolean).map(i => { const s = page.getComputedStyle(i); return s.backgroundImage + s.backgroundColor + s.borderColor; });
        return {texts: items.map(li => li.textContent.trim()), looks, in_picture: world().textContent.includes("bar = share"),
                below: items.every(li => li.getBoundingClientRect().top >= stage.bottom), wide: scroll.scrollWidth - scroll.clientWidth};""")
    words = [
        "■ frozen",
        "▲ trainable",
        "◧ partly frozen",
        "○ state",
        "● state, held still",
        "added / removed",
    ]
    assert told["texts"] == [*words, "bar = share of params"]
    assert len(set(told["looks"])) == 5
    assert told["looks"][1].startswith("repeating-linear-gradient")
    assert told["below"]
    assert not told["in_picture"]
    assert told["wide"] == 0


def test_nothing_from_elsewhere_is_let_in(html):
    outside = html.replace(
        "</body>", '<img src="https://example.com/x.png"><script>window.evil = 1</script></body>'
    )
    evil, problems = run_in_browser(outside, "await wait(100); return page.evil || 0")
    assert evil == 0
    assert any("img-src" in problem for problem in problems)
    assert any("script-src" in problem for problem in problems)


def test_everything_that_can_be_pressed_has_a_name(attempt):
    told = attempt("""
        const name = e => (e.getAttribute("aria-label") || e.textContent || (e.labels && e.labels[0] && e.labels[0].textContent) || "").trim();
        const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
        return {nameless: [...document.querySelectorAll("button, select, input, [role=button], [role=img]")].filter(e => !name(e)).map(e => e.outerHTML),
                twice: ids.filter((id, at) => ids.indexOf(id) !== at)};""")
    assert told == {"nameless": [], "twice": []}

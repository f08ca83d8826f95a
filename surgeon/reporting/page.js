"use strict";
(function () {
  // One row of `data`: path, class, shape, weights, id before, id after.
  // One weight: name, shape, size, is parameter, trainable before, trainable after (-1: not there);
  // of state, which never trains, how many elements hold still.
  var data = JSON.parse(document.getElementById("data").textContent);
  var sides = ["before", "after"];
  var side = 1; // which of them is shown
  var views = [null, null]; // x, y, k of each picture
  var sort = { key: null, down: false };
  var stage = get("stage"), card = get("card"), body = document.querySelector("#table tbody");
  var marks = { frozen: "■", partial: "◧", trainable: "▲", state: "○", still: "●", none: "·" };
  var words = { frozen: "frozen", partial: "partly frozen", trainable: "trainable", state: "state only", still: "state, held still", none: "no weights" };

  function get(id) { return document.getElementById(id); }
  function each(list, act) { Array.prototype.forEach.call(list, act); }
  function make(tag, text, css) {
    var element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (css) element.className = css;
    return element;
  }
  function named(path) {
    // A long name breaks after a word of it.
    var made = make("span");
    path.match(/[^_\/]*[_\/]?/g).forEach(function (part) { if (part) made.append(part, make("wbr")); });
    return made;
  }
  function number(count) { return count.toLocaleString("en-US"); }

  // Figures --------------------------------------------------------------------------------------

  function figures(weights, which) {
    var sum = { frozen: 0, trainable: 0, state: 0, still: 0 };
    weights.forEach(function (weight) {
      var trains = weight[4 + which];
      if (trains < 0) return;
      if (!weight[3]) { sum.state += weight[2]; sum.still += trains; return; }
      sum.trainable += trains;
      sum.frozen += weight[2] - trains;
    });
    var parameters = sum.frozen + sum.trainable;
    sum.total = parameters + sum.state;
    sum.share = parameters ? sum.frozen / parameters : -1;
    sum.kind = !parameters ? (!sum.state ? "none" : sum.still === sum.state ? "still" : "state")
      : !sum.trainable ? "frozen" : sum.frozen ? "partial" : "trainable";
    return sum;
  }
  function change(row) {
    if (!row[4]) return "added";
    if (!row[5]) return "removed";
    if (row[1].indexOf(" → ") > 0) return "replaced";
    var gone = figures(row[3], 0).total - figures(row[3], 1).total;
    if (gone > 0) return number(gone) + " weights removed";
    if (gone < 0) return number(-gone) + " weights added";
    // What is gone is not frozen: only what both have is compared.
    var both = row[3].filter(function (weight) { return weight[4] >= 0 && weight[5] >= 0; });
    var old = figures(both, 0), now = figures(both, 1);
    if (now.trainable < old.trainable) return number(old.trainable - now.trainable) + " newly frozen";
    if (now.trainable > old.trainable) return number(now.trainable - old.trainable) + " newly trainable";
    if (now.still > old.still) return number(now.still - old.still) + " state held still";
    if (now.still < old.still) return number(old.still - now.still) + " state moves again";
    return "";
  }
  var changes = data.map(change);

  // Table ----------------------------------------------------------------------------------------

  function bar(sum) {
    var made = make("div", undefined, "bar");
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", words[sum.kind]);
    ["frozen", "trainable", "still", "state"].forEach(function (kind) {
      var count = kind === "state" ? sum.state - sum.still : sum[kind];
      if (!count) return;
      var part = make("i", undefined, kind);
      part.style.flexGrow = Math.max(count / sum.total, 0.04);
      made.appendChild(part);
    });
    return made;
  }
  var rows = data.map(function (row, index) {
    var element = make("tr");
    element.tabIndex = 0;
    element.dataset.row = index;
    for (var column = 0; column < 7; column++) element.appendChild(make("td"));
    element.cells[1].className = "class";
    return element;
  });
  function fill() {
    rows.forEach(function (element, index) {
      var row = data[index], sum = figures(row[3], side), cells = element.cells;
      cells[0].textContent = "";
      cells[0].appendChild(named(row[0]));
      if (changes[index] && (side === 1 || changes[index] === "removed")) {
        cells[0].append(" ", make("span", changes[index], "badge"));
      }
      cells[1].textContent = row[1];
      cells[2].textContent = row[2];
      ["frozen", "trainable", "state"].forEach(function (kind, at) {
        cells[3 + at].textContent = number(sum[kind]);
        cells[3 + at].className = sum[kind] ? "number" : "number none";
      });
      cells[6].textContent = "";
      cells[6].appendChild(bar(sum));
    });
  }
  function value(index) {
    return typeof sort.key === "number" ? data[index][sort.key] : figures(data[index][3], side)[sort.key];
  }
  function list() {
    var words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    var state = get("state").value;
    var shown = [];
    data.forEach(function (row, index) {
      if (!row[4 + side]) return;
      var text = (row[0] + " " + row[1]).toLowerCase();
      var fits = words.every(function (word) { return text.indexOf(word) >= 0; });
      if (state === "changed") fits = fits && changes[index] !== "";
      else if (state) fits = fits && figures(row[3], side).kind === state;
      if (fits) shown.push(index);
    });
    if (sort.key !== null) {
      var values = {};
      shown.forEach(function (index) { values[index] = value(index); });
      shown.sort(function (one, other) {
        var a = values[one], b = values[other];
        var order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return (sort.down ? -order : order) || one - other;
      });
    }
    body.textContent = "";
    var fragment = document.createDocumentFragment();
    shown.forEach(function (index) { fragment.appendChild(rows[index]); });
    body.appendChild(fragment);
    get("count").textContent = number(shown.length) + (shown.length === 1 ? " layer" : " layers");
  }
  each(document.querySelectorAll("#table th button"), function (button) {
    button.addEventListener("click", function () {
      var key = /^\d$/.test(button.dataset.key) ? Number(button.dataset.key) : button.dataset.key;
      var down = typeof key === "string";
      if (sort.key === key) sort.down = !sort.down; else sort = { key: key, down: down };
      each(document.querySelectorAll("#table th"), function (head) {
        var here = head.contains(button);
        head.setAttribute("aria-sort", here ? (sort.down ? "descending" : "ascending") : "none");
      });
      list();
    });
  });
  get("search").addEventListener("input", list);
  get("state").addEventListener("change", list);
  body.addEventListener("click", function (event) { pick(event.target.closest("tr")); });
  body.addEventListener("keydown", function (event) {
    var row = event.target.closest("tr");
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(row); }
    var next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
    if (next) { event.preventDefault(); next.focus(); }
  });
  function pick(row) {
    if (!row) return;
    var node = nodes(side)[data[row.dataset.row][4 + side]];
    if (node) { centre(node); tell(node); }
    mark(node, row);
  }

  // Picture --------------------------------------------------------------------------------------

  function world(which) { return get("world-" + sides[which]); }
  var found = [null, null];
  function nodes(which) {
    if (!found[which]) {
      found[which] = {};
      each(world(which).querySelectorAll("g.node"), function (node) {
        found[which][node.id.replace(/^\w+-/, "")] = node;
      });
    }
    return found[which];
  }
  function place(glide) {
    var view = views[side];
    stage.classList.toggle("glide", Boolean(glide));
    world(side).style.transform = "translate(" + view.x + "px," + view.y + "px) scale(" + view.k + ")";
  }
  function size(which) {
    var svg = world(which).querySelector("svg");
    return { wide: svg.width.baseVal.value, high: svg.height.baseVal.value };
  }
  function fit(glide) {
    var all = size(side), box = stage.getBoundingClientRect();
    var whole = Math.min(box.width / all.wide, box.height / all.high) * 0.96;
    // A long chain is no use as a thread: begin where letters can be read.
    var k = Math.min(1.2, Math.max(whole, Math.min(0.8, (box.width * 0.94) / all.wide)));
    views[side] = { k: k, x: (box.width - all.wide * k) / 2, y: Math.max(8, (box.height - all.high * k) / 2) };
    place(glide);
  }
  function zoom(factor, x, y, glide) {
    var view = views[side], k = Math.min(8, Math.max(0.03, view.k * factor)), ratio = k / view.k;
    views[side] = { k: k, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
    place(glide);
  }
  function zoomMiddle(factor) { zoom(factor, stage.clientWidth / 2, stage.clientHeight / 2, true); }
  function move(x, y, glide) { views[side].x += x; views[side].y += y; place(glide); }
  function centre(node) {
    stage.classList.remove("glide");
    var box = node.getBoundingClientRect(), outer = stage.getBoundingClientRect();
    move(outer.left + outer.width / 2 - (box.left + box.width / 2), outer.top + outer.height * 0.34 - (box.top + box.height / 2), true);
  }
  function mark(node, row) {
    each(document.querySelectorAll(".here"), function (element) { element.classList.remove("here"); });
    if (node) node.classList.add("here");
    if (row) row.classList.add("here");
  }
  function rowsOf(node) {
    var id = node.id.replace(/^\w+-/, "");
    return rows.filter(function (row) { return data[row.dataset.row][4 + side] === id; });
  }
  function tell(node) {
    card.textContent = "";
    card.appendChild(make("b", node.getAttribute("aria-label")));
    var table = make("table"), count = 0, most = 8, all = 0;
    rowsOf(node).forEach(function (row) {
      data[row.dataset.row][3].forEach(function (weight) {
        if (weight[4 + side] < 0) return;
        all++;
        if (count >= most) return;
        count++;
        var one = figures([weight], side), line = make("tr");
        line.appendChild(make("td", marks[one.kind], "ink-" + one.kind));
        line.appendChild(make("td", data[row.dataset.row][0] + "/" + weight[0]));
        line.appendChild(make("td", weight[1]));
        line.appendChild(make("td", one.kind === "partial" ? number(one.trainable) + " of " + number(weight[2]) + " train" : words[one.kind]));
        table.appendChild(line);
      });
    });
    if (count) card.appendChild(table);
    if (all > count) card.appendChild(make("span", "and " + number(all - count) + " more weights", "muted"));
    card.hidden = false;
  }
  function choose(node) {
    centre(node);
    tell(node);
    var own = rowsOf(node)[0];
    mark(node, own);
    if (own && own.isConnected) own.scrollIntoView({ block: "nearest" });
  }
  sides.forEach(function (name, which) {
    each(world(which).querySelectorAll("g.node"), function (node) {
      var title = node.querySelector("title");
      node.setAttribute("tabindex", "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", title ? title.textContent : "");
      if (title) title.remove(); // the card tells it: no second box
      node.addEventListener("mouseenter", function () { if (!drag) tell(node); });
      node.addEventListener("mouseleave", function () { card.hidden = true; });
      node.addEventListener("focus", function () { tell(node); });
      node.addEventListener("blur", function () { card.hidden = true; });
      node.addEventListener("click", function () { if (!moved) choose(node); });
      node.addEventListener("keydown", function (event) {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); choose(node); }
      });
    });
  });

  // Mouse, touch, keyboard -----------------------------------------------------------------------

  var pointers = {}, drag = false, moved = false;
  function spread() {
    var all = Object.keys(pointers).map(function (id) { return pointers[id]; });
    if (all.length < 2) return null;
    return { far: Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y), x: (all[0].x + all[1].x) / 2, y: (all[0].y + all[1].y) / 2 };
  }
  function at(event) {
    var box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
  stage.addEventListener("pointerdown", function (event) {
    if (event.button > 0) return;
    if (!Object.keys(pointers).length) moved = false;
    pointers[event.pointerId] = at(event);
    drag = true;
  });
  window.addEventListener("pointermove", function (event) {
    var old = pointers[event.pointerId];
    if (!old) return;
    var before = spread(), now = at(event);
    pointers[event.pointerId] = now;
    var after = spread();
    if (before && after) {
      moved = true;
      if (before.far > 0) zoom(after.far / before.far, after.x, after.y);
      move(after.x - before.x, after.y - before.y);
    } else if (moved || Math.hypot(now.x - old.x, now.y - old.y) > 0) {
      moved = moved || Math.hypot(now.x - old.x, now.y - old.y) > 2;
      stage.classList.add("dragging");
      move(now.x - old.x, now.y - old.y);
    }
  });
  ["pointerup", "pointercancel"].forEach(function (name) {
    window.addEventListener(name, function (event) {
      delete pointers[event.pointerId];
      drag = Object.keys(pointers).length > 0;
      if (!drag) stage.classList.remove("dragging");
    });
  });
  stage.addEventListener("wheel", function (event) {
    event.preventDefault();
    var point = at(event), lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * 0.0015), point.x, point.y);
  }, { passive: false });
  stage.addEventListener("keydown", function (event) {
    var steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { card.hidden = true; mark(); }
    else if (steps[event.key]) move(steps[event.key][0], steps[event.key][1], true);
    else if (event.key === "+" || event.key === "=") zoomMiddle(1.25);
    else if (event.key === "-") zoomMiddle(0.8);
    else if (event.key === "0") fit(true);
    else return;
    event.preventDefault();
  });
  get("zoom-in").addEventListener("click", function () { zoomMiddle(1.25); });
  get("zoom-out").addEventListener("click", function () { zoomMiddle(0.8); });
  get("fit").addEventListener("click", function () { card.hidden = true; fit(true); });

  // Which model, which tab, which theme ----------------------------------------------------------

  function show(which) {
    side = which;
    sides.forEach(function (name, other) {
      world(other).hidden = other !== which;
      get("show-" + name).setAttribute("aria-pressed", String(other === which));
    });
    card.hidden = true;
    get("summary").textContent = get("summary").dataset[sides[which]];
    if (views[which]) place(); else fit();
    fill();
    list();
  }
  get("show-before").addEventListener("click", function () { show(0); });
  get("show-after").addEventListener("click", function () { show(1); });

  var tabs = document.querySelectorAll('[role="tab"]');
  function open(tab) {
    each(tabs, function (other) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      get(other.getAttribute("aria-controls")).hidden = other !== tab;
    });
  }
  each(tabs, function (tab, index) {
    tab.addEventListener("click", function () { open(tab); });
    tab.addEventListener("keydown", function (event) {
      var step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      if (!step) return;
      var next = tabs[(index + step + tabs.length) % tabs.length];
      open(next);
      next.focus();
    });
  });

  function theme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    get("theme").setAttribute("aria-pressed", String(dark));
  }
  get("theme").addEventListener("click", function () { theme(document.documentElement.dataset.theme !== "dark"); });
  theme(Boolean(window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches));
  window.addEventListener("resize", function () { views = [null, null]; fit(); });
  show(1);
})();

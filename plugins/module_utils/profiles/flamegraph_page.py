# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML page of a flame graph, without its data. The data replace @DATA@.

Made from flamegraph_page.html by tests/tools/embedded.py: change that file, then run `make docs`.
Ansible sends only Python files to a node, so the page is a string.
"""

from __future__ import annotations

PAGE = r"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Flame graph</title>
<style>
:root { color-scheme: light dark; --back: #fff; --text: #1b1b1b; --soft: #666; --line: #ccc; --hit: #d0f; --light: 72% }
@media (prefers-color-scheme: dark) {
  :root { --back: #17181c; --text: #ececec; --soft: #a0a0a0; --line: #444; --hit: #f6f; --light: 62% }
}
body { margin: 0; padding: 12px; background: var(--back); color: var(--text); font: 13px/1.4 system-ui, sans-serif }
h1 { font-size: 17px; margin: 0 }
.notes, .help { color: var(--soft) }
.bar { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 8px 0 }
.bar input { flex: 1 1 220px; min-width: 0 }
#about { min-height: 2.8em; overflow-wrap: anywhere; border-top: 1px solid var(--line); padding-top: 6px }
#graph { position: relative; overflow: hidden; outline: none }
.frame { position: absolute; height: 17px; line-height: 17px; font-size: 11px; overflow: hidden; white-space: nowrap;
  box-sizing: border-box; border-right: 1px solid var(--back); padding: 0 2px; color: #111; cursor: pointer }
.frame.above { opacity: .55 }
.frame.hit { background: var(--hit) !important; color: #fff }
.frame:focus { outline: 2px solid var(--text); outline-offset: -2px; z-index: 1 }
.frame.rest { cursor: default; font-style: italic }
</style>
</head>
<body>
<h1 id="title"></h1>
<div class="notes" id="notes"></div>
<div class="bar">
<label>Show <select id="type"></select></label>
<input id="search" type="search" placeholder="Search functions" aria-label="Search functions">
<span id="matched" role="status"></span>
<button id="reset" type="button">Reset zoom</button>
</div>
<div id="graph" role="group" aria-label="Flame graph: the outermost functions on top"></div>
<div id="about" role="status"></div>
<p class="help">Click or Enter: zoom in. Escape: out again. Arrows: move. /: search. <span id="legend">The width is
the share of the whole; colours only tell functions apart.</span></p>
<script id="data" type="application/json">@DATA@</script>
<script>
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const graph = at("graph"), ROW = 18, NARROWEST = 0.4;
const STEPS = { bytes: [["PB", 2 ** 50], ["TB", 2 ** 40], ["GB", 2 ** 30], ["MB", 2 ** 20], ["kB", 1024], ["B", 1]],
  nanoseconds: [["h", 3.6e12], ["s", 1e9], ["ms", 1e6], ["us", 1e3], ["ns", 1]] };
let tree, zoomed = 0, focused = 0, needle = "";

function shown(value, unit) {
  const size = Math.abs(value), steps = STEPS[unit];
  if (!steps) return String(value) + (unit === "count" ? "" : " " + unit);
  const step = steps.find((one) => size >= one[1]) || steps[steps.length - 1];
  return (value / step[1]).toFixed(2).replace(/\.00$/, "") + " " + step[0];
}
function nameOf(node) {
  return tree.name[node] < 0 ? "(" + tree.merged[node] + " smaller)" : data.names[tree.name[node]];
}
function colour(node) {
  if (tree.name[node] < 0) return "#aaa";
  if (data.diff) {
    const part = tree.most ? tree.delta[node] / tree.most : 0;
    const light = 92 - 37 * Math.sqrt(Math.abs(part));
    return Math.abs(part) > .002 ? "hsl(" + (part > 0 ? 4 : 215) + ",80%," + light + "%)" : "#ddd";
  }
  let hash = 7;
  for (const letter of data.names[tree.name[node]].replace(/\.[^./]*$/, "")) {
    hash = (hash * 31 + letter.codePointAt(0)) % 9973;
  }
  return "hsl(" + hash % 55 + "," + (60 + hash % 30) + "%,var(--light))";
}
/* Where each node begins, in values; its parent; and where what is below it ends in the list. */
function lay(one) {
  const count = one.depth.length, open = [];
  one.start = new Array(count).fill(0);
  one.parent = new Array(count).fill(-1);
  one.end = new Array(count).fill(count);
  one.used = new Array(count).fill(0);
  one.most = data.diff ? one.delta.reduce((most, value) => Math.max(most, Math.abs(value)), 0) : 0;
  for (let node = 0; node < count; node++) {
    while (open.length > one.depth[node]) one.end[open.pop()] = node;
    if (open.length) {
      const above = open[open.length - 1];
      one.parent[node] = above;
      one.start[node] = one.start[above] + one.used[above];
      one.used[above] += one.width[node];
    }
    open.push(node);
  }
}
function isHit(node) {
  return needle !== "" && tree.name[node] >= 0 && data.names[tree.name[node]].toLowerCase().includes(needle);
}
function describe(node) {
  const whole = tree.value[0], part = whole ? (100 * tree.value[node] / whole).toFixed(2) + "%" : "-";
  let text = nameOf(node) + ": " + shown(tree.value[node], tree.unit) + " (" + part + "), itself " +
    shown(tree.own[node], tree.unit);
  if (data.diff) text += "; before " + shown(tree.base[node], tree.unit) +
    ", change " + (tree.delta[node] > 0 ? "+" : "") + shown(tree.delta[node], tree.unit);
  const file = tree.name[node] < 0 ? "" : data.files[tree.name[node]];
  return file ? text + "; " + file : text;
}
function draw() {
  const wide = graph.clientWidth || 800, from = tree.start[zoomed], span = tree.width[zoomed] || 1;
  const path = new Set(), boxes = document.createDocumentFragment();
  for (let node = zoomed; node >= 0; node = tree.parent[node]) path.add(node);
  let deepest = 0;
  for (let node = 0; node < tree.depth.length; node++) {
    const below = node >= zoomed && node < tree.end[zoomed], above = path.has(node) && node !== zoomed;
    if (!below && !above) continue;
    const left = above ? 0 : wide * (tree.start[node] - from) / span;
    const width = above ? wide : wide * tree.width[node] / span;
    if (width < NARROWEST) { node = tree.end[node] - 1; continue; }
    const box = document.createElement("div");
    box.className = "frame" + (above ? " above" : "") + (isHit(node) ? " hit" : "") +
      (tree.name[node] < 0 ? " rest" : "");
    box.dataset.node = node;
    box.tabIndex = node === focused ? 0 : -1;
    box.setAttribute("role", "button");
    box.setAttribute("aria-label", describe(node));
    box.style.cssText = "left:" + left + "px;width:" + width + "px;top:" + tree.depth[node] * ROW +
      "px;background:" + colour(node);
    if (width > 25) box.textContent = nameOf(node);
    boxes.append(box);
    deepest = Math.max(deepest, tree.depth[node]);
  }
  graph.replaceChildren(boxes);
  graph.style.height = (deepest + 1) * ROW + "px";
}
function zoom(node) {
  if (tree.name[node] < 0 && node) return;
  zoomed = focused = node;
  draw();
  move(node);
}
function move(node) {
  const box = graph.querySelector('[data-node="' + node + '"]');
  if (!box) return;
  const old = graph.querySelector('[tabindex="0"]');
  if (old) old.tabIndex = -1;
  focused = node;
  box.tabIndex = 0;
  box.focus({ preventScroll: true });
  box.scrollIntoView({ block: "nearest" });
  at("about").textContent = describe(node);
}
function search() {
  needle = at("search").value.toLowerCase();
  let sum = 0;
  for (let node = 0; node < tree.depth.length; node++) {
    if (isHit(node)) { sum += tree.value[node]; node = tree.end[node] - 1; }
  }
  const whole = tree.value[0];
  at("matched").textContent = needle === "" ? "" :
    "matched " + (whole ? (100 * sum / whole).toFixed(2) : "0.00") + "%";
  draw();
}
function show(index) {
  tree = data.trees[index];
  if (!tree.start) lay(tree);
  zoomed = focused = 0;
  at("notes").textContent = data.notes.concat(tree.notes).join(" ");
  at("about").textContent = describe(0);
  search();
}
function beside(node, step) {
  for (let other = node + step; other >= 0 && other < tree.depth.length; other += step) {
    if (tree.depth[other] < tree.depth[node]) return node;
    if (tree.depth[other] === tree.depth[node]) return other;
  }
  return node;
}
at("title").textContent = document.title = data.title;
if (data.diff) at("legend").textContent = "Red has grown, blue has shrunk; the width is the larger of both.";
data.trees.forEach((one, index) => at("type").append(new Option(one.type, index)));
at("type").value = data.first;
at("type").addEventListener("change", () => show(Number(at("type").value)));
at("search").addEventListener("input", search);
at("reset").addEventListener("click", () => zoom(0));
graph.addEventListener("click", (event) => {
  const box = event.target.closest(".frame");
  if (box) zoom(Number(box.dataset.node));
});
graph.addEventListener("mouseover", (event) => {
  const box = event.target.closest(".frame");
  if (box) at("about").textContent = describe(Number(box.dataset.node));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.id === "search" || event.target.id === "type") {
    if (event.key === "Escape") { event.target.blur(); move(focused); }
    return;
  }
  const keys = { ArrowUp: () => move(Math.max(0, tree.parent[focused])),
    ArrowDown: () => { if (tree.depth[focused + 1] === tree.depth[focused] + 1) move(focused + 1); },
    ArrowLeft: () => move(beside(focused, -1)), ArrowRight: () => move(beside(focused, 1)),
    Enter: () => zoom(focused), Escape: () => zoom(Math.max(0, tree.parent[zoomed])),
    "/": () => at("search").focus() };
  if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
});
addEventListener("resize", draw);
show(data.first);
})();
</script>
</body>
</html>
"""

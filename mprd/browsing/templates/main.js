// Puts the page together: tabs, mouse, keys, and what is shown after each change.
import { images, state, clusters, added, load, onChange, outliers, title, visible, watch } from "./model.js";
import { chain, chosen, current, draw, element, heightOf, isOne, nearOf, open, pictures } from "./card.js";
import { filtered, setTab, setUpFilter, shownClusters, shownImages, sortAgain, tab, takePlace } from "./view.js";
import { isOpen, keys, onGo, showLarge } from "./dialogs.js";
import * as actions from "./actions.js";
import { List } from "./list.js";

const field = id => document.getElementById(id);
const list = new List(field("list"), heightOf, draw);
let last = null; // picture that was chosen last, for Shift

function show() {
  for (const row of chosen.rows) if (row >= images.paths.length) chosen.rows.delete(row);
  for (const one of chosen.clusters) if (!clusters.has(one)) chosen.clusters.delete(one);
  const before = Number(current.key?.slice(1)), stays = current.among.find(one => clusters.has(one));
  if (current.among.includes(before) && !clusters.has(before) && stays !== undefined) {
    takePlace(before, stays);
    current.key = `c${stays}`;
  }
  const of = tab === "clusters" ? shownClusters(Number(current.key?.slice(1))) : shownImages();
  const found = of.map(number => tab[0] + number);
  if (!found.includes(current.key)) follow(found);
  current.place = current.key ? Math.max(0, Math.min(current.place, pictures(current.key).length - 1)) : 0;
  list.show(found);
  field("empty").hidden = found.length > 0;
  const none = tab === "added" ? "You confirmed all added images." : `There are no ${tab}.`;
  field("empty").textContent = filtered() ? "Nothing fits the filter." : none;
  field("tab-clusters").querySelector("b").textContent = clusters.size;
  field("tab-outliers").querySelector("b").textContent = outliers().length;
  field("tab-added").querySelector("b").textContent = added().length;
  field("tab-added").hidden = !images.added;
  field("order").parentElement.hidden = tab !== "clusters";
  for (const name of ["undo", "redo"]) {
    field(name).disabled = !state[name];
    field(name).title = state[name] ? visible(`${name}: ${state[name].words}`) : `nothing to ${name}`;
  }
  field("apply").textContent = state.waiting ? `Apply ${state.waiting}` : "Apply";
  field("apply").title = `decisions that hold: ${state.decisions}; entries of the log that are not applied yet: ${state.waiting}`;
  field("filters").classList.toggle("on", filtered());
  showChosen();
  showAlerts();
}

// The current cluster may be gone: what takes its place in the list is the next one.
function follow(found) {
  const before = list.keys.indexOf(current.key), there = new Set(found);
  const after = list.keys.slice(Math.max(0, before)).find(key => there.has(key));
  current.key = after ?? found.at(before < 0 ? 0 : -1) ?? null;
  current.place = 0;
}

function showChosen() {
  const rows = chosen.rows.size, groups = chosen.clusters.size;
  field("chosen").hidden = !rows && !groups;
  const make = (act, text, hint) => element("button", { title: hint, dataset: { act } }, text);
  const parts = [];
  if (rows) {
    parts.push(element("b", {}, `${rows} picture${rows === 1 ? "" : "s"}`),
      make("split", "Split off (s)", "They are one other identity"),
      make("not", "Not this one (n)", "Each of them leaves its cluster"),
      make("nobody", "No match (0)", "Together they are one new individual"));
    const here = current.key?.[0] === "c" ? Number(current.key.slice(1)) : -1;
    if (here >= 0 && [...chosen.rows].some(row => state.numbers[row] !== here)) {
      parts.push(make("move", `Move to ${title(here)} (g)`, "To the cluster with the frame"));
    }
  }
  if (groups) {
    parts.push(element("b", {}, [...chosen.clusters].map(title).join(", ")),
      groups > 1 ? make("merge", "Merge (m)", "They are one identity") : "Choose another one to merge.");
  }
  parts.push(make("clear", "None (Esc)", "Choose nothing"));
  field("chosen").replaceChildren(...parts);
}

let trouble = "";
function showAlerts() {
  const found = state.contradictions.map(one => element("div", {}, chain(one.rows), element("p", {}, one.words),
    ...one.entries.filter(({ entry }) => entry).map(({ entry }) => element(
      "button", { dataset: { act: "retract", entry } }, `Take entry ${entry} back`))));
  if (trouble) found.unshift(element("div", {}, element("p", {}, trouble)));
  field("alerts").replaceChildren(...found);
}

function choose(row, event) {
  if (event?.shiftKey && last !== null && current.key) {
    const of = pictures(current.key), a = of.indexOf(last), b = of.indexOf(row);
    if (a >= 0 && b >= 0) {
      for (const one of of.slice(Math.min(a, b), Math.max(a, b) + 1)) chosen.rows.add(one);
      return show();
    }
  }
  if (!chosen.rows.delete(row)) chosen.rows.add(row);
  last = row;
  show();
}

function go(row) {
  const number = state.numbers[row];
  switchTo(number < 0 ? "outliers" : "clusters");
  Object.assign(current, { key: number < 0 ? `o${row}` : `c${number}`, place: 0 });
  if (number >= 0) current.place = Math.max(0, clusters.get(number).rows.indexOf(row));
  show();
  if (!list.reveal(current.key)) actions.say("The filter hides it: press Clear in Filter.", true);
}
onGo(go);

const TABS = ["clusters", "outliers", "added"];
function switchTo(name) {
  if (tab === name) return;
  setTab(name);
  for (const one of TABS) field(`tab-${one}`).ariaSelected = String(one === name);
  Object.assign(current, { key: null, place: 0 });
  scrollTo({ top: 0 });
  show();
  tell();
}

// What comes first here, and the keys for it.
const FIRST = {
  doubt: "The most doubtful clusters come first. c: confirm, m: compare and merge, h: split in two, ?: all keys",
  alike: "Clusters that may be one individual come first. m: compare with the most similar one, then s: same, d: different",
  large: "The largest clusters come first. ?: all keys",
  small: "The smallest clusters come first. m: compare with the most similar one, ?: all keys",
  number: "In the order of their numbers. ?: all keys",
};
const SINGLE = "1, 2, 3: it belongs to this cluster. 0: no match, a new individual. "
  + "Space: choose several pictures that are one new individual, then 0";
function tell() {
  if (innerWidth < 700) return actions.say("Tap a picture to see it large.");
  actions.say(tab === "clusters" ? FIRST[field("order").value] : SINGLE);
}

const CARD = {
  confirm: number => actions.confirm(number),
  halve: number => actions.halve(number),
  rename: number => actions.rename(number),
  compare: (number, { other }) => actions.look(number, Number(other)),
  open: number => { open.add(number); show(); },
  choose: number => { if (!chosen.clusters.delete(number)) chosen.clusters.add(number); show(); },
  new: row => actions.fresh(row),
  belongs: (row, { other }) => actions.belongs(row, Number(other)),
  never: (row, { other }) => actions.never(row, Number(other)),
};
const PAGE = {
  split: actions.split, not: actions.not, move: actions.move, merge: actions.merge, nobody: actions.nobody,
  clear: () => { chosen.rows.clear(); chosen.clusters.clear(); show(); },
};

function click(event) {
  const card = event.target.closest("article"), button = event.target.closest("[data-act]");
  if (!card) return;
  const from = event.target.closest(".picture"), key = card.dataset.key;
  if (current.key !== key && button?.dataset.act !== "choose") Object.assign(current, { key, place: 0 });
  if (button) return CARD[button.dataset.act](Number(card.dataset.number), button.dataset);
  const few = event.target.closest("[data-large]");
  if (few) return showLarge([Number(few.dataset.large)], Number(few.dataset.large));
  if (!from) return show();
  const row = Number(from.dataset.row);
  current.place = pictures(key).indexOf(row);
  const wants = event.target.closest(".choose") || event.ctrlKey || event.metaKey || event.shiftKey;
  if (wants) return choose(row, event);
  show();
  showLarge(pictures(key), row);
}

function step(by) {
  const n = list.keys.indexOf(current.key) + by;
  if (!(n in list.keys)) return;
  Object.assign(current, { key: list.keys[n], place: 0 });
  show();
  list.reveal(current.key);
}

function turn(by) {
  if (!current.key) return;
  current.place = Math.max(0, Math.min(pictures(current.key).length - 1, current.place + by));
  show();
}

const here = () => pictures(current.key)[current.place];
const one = () => Number(current.key.slice(1));
const inClusters = done => () => current.key?.[0] === "c" && done();
const belongs = n => () => {
  const near = isOne(current.key) && nearOf(current.key)[n];
  if (near) actions.belongs(one(), near[0]);
};
const KEYS = {
  ArrowDown: () => step(1), j: () => step(1), ArrowUp: () => step(-1), k: () => step(-1),
  ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
  Enter: () => current.key && showLarge(pictures(current.key), here()),
  " ": event => current.key && choose(here(), event), x: event => current.key && choose(here(), event),
  a: inClusters(() => CARD.choose(one())), m: actions.merge, c: inClusters(() => actions.confirm()),
  h: inClusters(() => actions.halve()), s: actions.split, n: actions.not,
  g: inClusters(() => actions.move()), r: inClusters(() => actions.rename()),
  1: belongs(0), 2: belongs(1), 3: belongs(2),
  0: () => (isOne(current.key) && !chosen.rows.size ? actions.fresh(one()) : actions.nobody()),
  u: actions.undo, U: actions.redo, "?": keys, Escape: PAGE.clear,
};

function press(event) {
  if (isOpen() || event.altKey || event.target.closest("input, select, textarea, summary")) return;
  if (event.ctrlKey || event.metaKey) {
    const act = { z: event.shiftKey ? actions.redo : actions.undo, Z: actions.redo, y: actions.redo }[event.key];
    if (act) { event.preventDefault(); act(); }
    return;
  }
  if (event.target.closest("button") && ["Enter", " "].includes(event.key)) return;
  const act = KEYS[event.key];
  if (!act || (event.repeat && event.key.length === 1 && !"jk".includes(event.key))) return;
  event.preventDefault();
  act(event);
}

function setUpDrag() {
  const target = event => event.target.closest?.("[data-drop], article");
  addEventListener("dragstart", event => {
    const from = event.target.closest?.(".picture");
    if (!from) return;
    const row = Number(from.dataset.row);
    if (!chosen.rows.has(row)) chosen.rows.clear();
    chosen.rows.add(row);
    event.dataTransfer.setData("text/plain", images.paths[row]);
    event.dataTransfer.effectAllowed = "move";
    setTimeout(() => { field("drops").hidden = tab !== "clusters"; });
  });
  addEventListener("dragover", event => {
    if (!chosen.rows.size || !target(event)) return;
    event.preventDefault();
    document.querySelectorAll(".over").forEach(other => other.classList.remove("over"));
    target(event).classList.add("over");
  });
  addEventListener("drop", event => {
    const there = target(event);
    if (!there) return;
    event.preventDefault();
    if (there.dataset.drop) PAGE[there.dataset.drop]();
    else if (there.dataset.key[0] === "c") actions.move(Number(there.dataset.number));
  });
  addEventListener("dragend", () => {
    field("drops").hidden = true;
    document.querySelectorAll(".over").forEach(other => other.classList.remove("over"));
    show();
  });
}

await load();
setUpFilter(show);
field("size").addEventListener("change", show);
if (innerWidth < 700) field("size").value = "96";
field("order").addEventListener("change", () => {
  sortAgain();
  Object.assign(current, { key: null, place: 0 }); // keys go on at the top
  show();
  scrollTo({ top: 0 });
  tell();
});
field("filters").onclick = () => {
  field("filter").hidden = !field("filter").hidden;
  field("filters").ariaExpanded = String(!field("filter").hidden);
};
for (const name of TABS) field(`tab-${name}`).onclick = () => switchTo(name);
field("undo").onclick = actions.undo;
field("redo").onclick = actions.redo;
field("apply").onclick = actions.apply;
field("help").onclick = keys;
field("chosen").addEventListener("click", event => PAGE[event.target.dataset.act]?.());
field("alerts").addEventListener("click", event => {
  if (event.target.dataset.entry) actions.retract(Number(event.target.dataset.entry));
});
list.root.addEventListener("click", click);
addEventListener("keydown", press);
setUpDrag();
onChange(show);
show();
watch((wrong, note) => {
  if (wrong !== trouble) { trouble = wrong; showAlerts(); }
  if (note) actions.say(note);
});
tell();
document.documentElement.dataset.ready = "yes";

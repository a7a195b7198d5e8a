// Dialogs: a picture large, two clusters side by side, a name, a contradiction, the keys.
import { images, state, clusters, title } from "./model.js";
import { chain, element, small } from "./card.js";

const large = document.getElementById("large");
const ask = document.getElementById("ask");
let strip = [], shown = 0, goTo = () => {};

export const onGo = listener => { goTo = listener; };

export async function showLarge(rows, row) {
  strip = rows;
  shown = row;
  const found = await fetch(`image/${row}`);
  if (!found.ok || shown !== row) return;
  drawLarge(await found.json());
  if (!large.open) large.showModal();
}

function drawLarge(one) {
  const { row } = one, number = state.numbers[row];
  const facts = [...one.facts];
  facts.push(number < 0 ? ["cluster", "none: an outlier"]
    : ["cluster", `${title(number)}, relation ${state.relation[row].toFixed(2)}`]);
  const list = element("dl");
  for (const [name, text] of facts) {
    list.append(element("dt", {}, name), element("dd", {}, text));
  }
  const near = element("div", { className: "near" });
  for (const [other, relation] of one.neighbours) {
    const there = state.numbers[other] === number && number >= 0;
    const made = element("button", { className: there ? "same" : "", title: images.paths[other] },
      element("img", { src: small(other), alt: images.paths[other] }),
      element("small", {}, `${relation.toFixed(2)} · ${state.numbers[other] < 0 ? "outlier" : title(state.numbers[other])}`));
    made.onclick = () => showLarge([other], other);
    near.append(made);
  }
  const place = strip.indexOf(row);
  const step = by => element("button", {
    disabled: !(place + by in strip), onclick: () => showLarge(strip, strip[place + by]),
  }, by < 0 ? "← Previous" : "Next →");
  large.replaceChildren(
    element("img", { className: "big", src: `large/${row}?${images.version}`, alt: one.path }),
    element("p", { className: "path" }, one.path), list,
    element("div", { className: "row" }, step(-1), step(1),
      element("button", { onclick: () => { large.close(); goTo(row); } }, "Show in its place"),
      element("button", { onclick: () => large.close() }, "Close")),
    element("h3", {}, one.neighbours.length ? "Nearest pictures" : "No picture is near"), near);
  large.scrollTop = 0;
}

large.addEventListener("keydown", event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const next = by && strip[strip.indexOf(shown) + by];
  if (next === undefined || !by) return;
  event.preventDefault();
  showLarge(strip, next);
});
for (const dialog of [large, ask]) {
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
}

// Asks, and resolves with the value of the button; "" if it is closed.
function choose(...content) {
  ask.replaceChildren(element("form", { method: "dialog" }, ...content));
  ask.returnValue = "";
  ask.showModal();
  return new Promise(done => ask.addEventListener("close", () => done(ask.returnValue), { once: true }));
}
const answer = (value, text, properties = {}) => element("button", { value, ...properties }, text);

const side = number => element("div", { className: "side" },
  element("h3", {}, title(number)),
  element("div", { className: "many" }, ...clusters.get(number).rows.slice(-24).reverse().map(row => element(
    "img", { src: small(row), alt: images.paths[row], title: images.paths[row] }))),
  element("small", {}, clusters.get(number).rows.length > 24 ? "the 24 surest pictures" : ""));

export async function compare(one, other) {
  ask.onkeydown = event => {
    const value = { s: "same", d: "different" }[event.key];
    if (!value || event.repeat) return;
    event.stopPropagation(); // the page behind has the same keys
    ask.querySelector(`button[value=${value}]`).click();
  };
  const value = await choose(
    element("h2", {}, "Do both show the same individual?"),
    element("div", { className: "sides" }, side(one), side(other)),
    element("div", { className: "row" },
      answer("same", "Same: merge (s)"), answer("different", "Different (d)"),
      answer("", "Cannot tell (Esc)")));
  ask.onkeydown = null;
  return value;
}

export async function askName(number) {
  const known = [...new Set([...clusters.values()].map(one => one.name).filter(Boolean))].sort();
  const input = element("input", { value: clusters.get(number).name, maxLength: 200, autofocus: true });
  input.setAttribute("list", "names");
  const list = element("datalist", { id: "names" }, ...known.map(name => element("option", { value: name })));
  const value = await choose(element("h2", {}, `Name of cluster ${number}`), input, list,
    element("div", { className: "row" }, answer("ok", "Save"), answer("cancel", "Cancel", { formNoValidate: true })));
  return value === "ok" ? input.value : null;
}

// Shows decisions that contradict a new one; resolves with the entry to take back, or null.
export async function askClash(clashes) {
  const entries = new Map(clashes.flatMap(clash => clash.entries).map(one => [one.entry, one.words]));
  const wrong = clashes.flatMap(clash => [chain(clash.rows), element("p", {}, clash.words)]);
  const buttons = [...entries].filter(([entry]) => entry).map(([entry]) =>
    answer(String(entry), `Take entry ${entry} back, and do this`));
  const value = await choose(element("h2", {}, "This contradicts an earlier decision"), ...wrong,
    element("div", { className: "row" }, ...buttons, answer("", "Leave everything as it is", { autofocus: true })));
  return value ? Number(value) : null;
}

export const keys = () => document.getElementById("keys").showModal();
export const isOpen = () => document.querySelector("dialog[open]") !== null;

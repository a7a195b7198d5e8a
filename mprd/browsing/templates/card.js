// One cluster, or one outlier with its nearest clusters, as elements. Names are text, never HTML.
import { images, state, clusters, isAdded, title, visible } from "./model.js";

export const chosen = { rows: new Set(), clusters: new Set() };
export const current = { key: null, place: 0, among: [] }; // among: clusters that become one
export const open = new Set(); // clusters of which all pictures are shown
const LINES = 2, MOST = 400, FEW = 5, GAP = 6, EDGE = 24, CHIPS = 44, PAD = 12;

export const element = (name, properties = {}, ...children) => {
  const { dataset, ...rest } = properties;
  const made = Object.assign(document.createElement(name), rest);
  Object.assign(made.dataset, dataset);
  for (const key of ["title", "alt", "ariaLabel"]) if (key in rest) made[key] = visible(rest[key]);
  made.append(...children.map(one => typeof one === "string" ? visible(one) : one));
  return made;
};

const tall = () => Number(document.getElementById("size").value);
const wide = () => Math.max(24, Math.round(tall() * images.ratio));
const head = () => (innerWidth < 700 ? 68 : 40);
const inner = () => document.getElementById("list").clientWidth - EDGE;
const columns = () => Math.max(1, Math.floor((inner() + GAP) / (wide() + GAP)));

// A cluster, `{ number }`, shows this many pictures.
function room(one) {
  const most = columns() * LINES;
  if (open.has(one.number)) return Math.min(one.rows.length, MOST);
  return one.rows.length > most ? Math.max(1, most - 1) : one.rows.length;
}

export const isOne = key => key?.[0] === "o" || key?.[0] === "a"; // an outlier, an added image
// The cluster of an added image if it shows nobody known: nobody confirmed any of its images.
const strange = row => {
  const one = clusters.get(state.numbers[row]);
  return one?.rows.every(other => other in state.added) ? one : null;
};
export const group = row => strange(row)?.rows ?? [row];
export const nearOf = key => {
  const row = Number(key.slice(1));
  return key[0] === "o" ? state.outliers[row] : strange(row)?.near.slice(0, 3) ?? state.added[row];
};

export function heightOf(key) {
  if (isOne(key)) return head() + tall() + PAD + GAP;
  const one = clusters.get(Number(key.slice(1)));
  const shown = room(one) + (room(one) < one.rows.length ? 1 : 0);
  const lines = Math.ceil(shown / columns());
  return head() + lines * (tall() + GAP) + (one.near.length ? CHIPS : 0) + PAD;
}

export const small = row => `small/${row}?${images.version}`;
const imageOf = (row, className) => {
  const made = element("img", { className, alt: images.paths[row], draggable: false });
  made.src = small(row);
  return made;
};

export function picture(row, extra = "") {
  const camera = images.camera[row] >= 0 ? images.cameras[images.camera[row]] : "";
  const made = element("div", {
    className: `picture ${extra}`, draggable: true, title: images.paths[row], dataset: { row },
  }, imageOf(row));
  made.style.width = `${wide()}px`;
  made.style.height = `${tall()}px`;
  const box = element("button", {
    className: "choose", title: "Choose this picture", ariaLabel: `choose ${images.paths[row]}`,
    ariaPressed: String(chosen.rows.has(row)),
  });
  made.append(box);
  if (camera && images.cameras.length > 1) made.append(element("span", { className: "camera" }, camera));
  if (isAdded(row)) made.append(element("span", { className: "new" }, "added"));
  made.classList.toggle("on", chosen.rows.has(row));
  return made;
}

// The images of a contradiction: each is one with the next, the first and the last are not.
export const chain = rows => element("div", { className: "chain" }, ...rows.flatMap((row, n) => [
  ...(n ? [element("span", {}, rows.length === 2 ? "= ≠" : "=")] : []), imageOf(row)]),
...(rows.length > 2 ? [element("span", {}, "≠"), imageOf(rows[0])] : []));

const button = (act, text, hint, more = {}) => element(
  "button", { title: hint, dataset: { act, ...more } }, text);
const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export const middle = number => clusters.get(number).rows.at(-1);

function chip([number, relation]) {
  return element("button", {
    className: "chip", title: `Compare with ${title(number)}`, dataset: { act: "compare", other: number },
  }, imageOf(middle(number)), element("span", {}, title(number)), element("small", {}, relation.toFixed(2)));
}

function clusterCard(one) {
  const { number, rows } = one;
  const words = [many(rows.length, "image")];
  if (images.cameras.length > 1) words.push(many(one.cameras.size, "camera"));
  words.push(`doubt ${one.doubt.toFixed(2)}`);
  const box = element("input", {
    type: "checkbox", checked: chosen.clusters.has(number), title: "Choose this cluster to merge it",
    ariaLabel: `choose ${title(number)}`, dataset: { act: "choose" },
  });
  const name = element("h2", {}, element("label", {}, box, element("span", {}, title(number))));
  if (one.confirmed) name.append(element("span", { className: "sure", title: "confirmed" }, "✓"));
  const buttons = element("div", { className: "buttons" },
    button("confirm", "Confirm", "All pictures are one identity (c)"),
    button("halve", "Split in two", "Along its last merge (h)"),
    button("rename", "Name", "Name the identity (r)"));
  buttons.firstChild.disabled = one.confirmed;
  buttons.children[1].disabled = rows.length < 2;
  const line = element("div", { className: "line" }, name,
    element("span", { className: "about" }, words.join(" · ")), buttons);
  const shown = room(one);
  const strip = element("div", { className: "strip" }, ...rows.slice(0, shown).map(row => picture(row)));
  if (shown < rows.length) {
    const left = rows.length - shown;
    const more = open.has(number)
      ? element("span", { className: "more" }, `${left} more are not drawn`)
      : button("open", `+${left}`, `Show all ${rows.length} pictures`);
    more.classList.add("more");
    more.style.width = `${wide()}px`;
    more.style.height = `${tall()}px`;
    strip.append(more);
  }
  const parts = [line, strip];
  if (one.near.length) {
    parts.push(element("div", { className: "chips" },
      element("span", {}, "Similar:"), ...one.near.map(chip)));
  }
  return parts;
}

function imageCard(row, near) {
  const number = state.numbers[row], rows = group(row), together = strange(row) !== null;
  const where = together ? `${many(rows.length, "image")} of a stranger, not confirmed yet`
    : number < 0 ? "in no cluster" : `in ${title(number)}`;
  const line = element("div", { className: "line" },
    element("h2", {}, together ? `new ${title(number)}` : images.paths[row]),
    element("span", { className: "about" }, where),
    element("div", { className: "buttons" }, rows.length > 1
      ? button("new", "No match: one new individual (0)", "All these pictures are one individual that no other cluster shows")
      : button("new", "No match (0)", "It is somebody that no cluster shows: a new individual. Are several pictures this one? Choose them all first.")));
  const own = rows.slice(0, FEW).map(other => picture(other));
  if (rows.length > FEW) own.push(element("span", { className: "about" }, `+${rows.length - FEW}`));
  const strip = element("div", { className: "strip outlier" }, element("div", { className: "own" }, ...own), ...near.map(
    ([number, relation], n) => element("div", { className: "target" },
      element("div", { className: "few" }, ...clusters.get(number).rows.slice(-3).reverse().map(
        other => {
          const made = imageOf(other, "few");
          made.dataset.large = other;
          made.style.width = `${Math.round((tall() - 36) * images.ratio)}px`;
          made.style.height = `${tall() - 36}px`;
          return made;
        })),
      element("div", { className: "say" }, button(
        "belongs", `${n + 1}: ${title(number)} · ${relation.toFixed(2)}`, `It belongs to ${title(number)} (${n + 1})`,
        { other: number }), button("never", "not this one", `It does not belong to ${title(number)}`, { other: number })))));
  if (!near.length) strip.append(element("p", { className: "about" }, "No cluster is near."));
  return [line, strip];
}

// Draws a card, or returns the one that is there if nothing in it changed.
export function draw(key, before) {
  const is = key[0], number = Number(key.slice(1));
  const one = is === "c" ? clusters.get(number) : null;
  const rows = one?.rows ?? group(number), mine = rows.filter(row => chosen.rows.has(row));
  const near = one ? one.near : nearOf(key);
  const place = current.key === key ? current.place : -1;
  const sign = JSON.stringify([rows, one?.name, one?.confirmed, one?.doubt, mine, open.has(number),
    near, near.map(([other]) => [title(other), middle(other)]), one ? 0 : state.numbers[number], chosen.clusters.has(number), place, tall(), inner()]);
  if (before?.sign === sign) return before;
  const made = element("article", { dataset: { key, number } }, ...(one ? clusterCard(one) : imageCard(number, near)));
  made.sign = sign;
  made.style.height = `${heightOf(key) - 10}px`;
  made.classList.toggle("current", place >= 0);
  made.classList.toggle("picked", one !== null && chosen.clusters.has(number));
  if (place >= 0) made.querySelectorAll(".picture")[place]?.classList.add("here");
  return made;
}

export const pictures = key => {
  if (isOne(key)) return group(Number(key.slice(1))).slice(0, FEW);
  const one = clusters.get(Number(key.slice(1)));
  return one.rows.slice(0, room(one));
};

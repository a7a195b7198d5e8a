// Which clusters or outliers are shown, and in which order.
import { images, state, clusters, added, isAdded, outliers, visible } from "./model.js";
import { group, nearOf } from "./card.js";

const field = id => document.getElementById(id);
const value = id => field(id).value.trim();
export let tab = "clusters";
export const setTab = name => { tab = name; };
let order = [];

export function setUpFilter(changed) {
  images.cameras.forEach((name, n) => {
    const option = new Option(visible(name), n);
    field("camera").append(option);
  });
  field("camera").parentElement.hidden = images.cameras.length < 2;
  field("new").parentElement.hidden = !images.added;
  const timed = images.time.some(time => time !== null);
  for (const id of ["from", "to"]) {
    field(id).parentElement.hidden = !timed;
    field(id).type = images.dated ? "datetime-local" : "number";
    if (images.dated) field(id).step = 1;
    field(id).title = images.ends.join(" to ");
  }
  field("filter").addEventListener("input", () => setTimeout(changed));
  field("filter").addEventListener("reset", () => setTimeout(changed));
  field("filter").addEventListener("submit", event => event.preventDefault());
  field("order").addEventListener("change", () => { order = []; changed(); });
}

const moment = id => {
  const text = value(id);
  if (!text) return null;
  return images.dated ? Date.parse(`${text}Z`) / 1000 : Number(text);
};

function rowFits() {
  const camera = value("camera"), from = moment("from"), to = moment("to");
  const late = value("new");
  if (camera === "" && from === null && to === null && !late) return null;
  return row => {
    const time = images.time[row];
    return (!late || (isAdded(row) && (late === "all" || row in state.added)))
      && (camera === "" || images.camera[row] === Number(camera))
      && (from === null || (time !== null && time >= from))
      && (to === null || (time !== null && time <= to));
  };
}

const found = (text, rows) => rows.some(row => images.paths[row].toLowerCase().includes(text));

const isNumber = text => /^\d+$/.test(text) && clusters.has(Number(text));

const words = text => text.toLowerCase().split("|").map(one => one.trim()).filter(Boolean);

const isCalled = (one, text) => one.name.toLowerCase().includes(text)
  || (isNumber(text) ? String(one.number) === text : found(text, one.rows));

function clusterFits() {
  const fits = rowFits(), least = Number(value("least")) || 0;
  const most = Number(value("most")) || Infinity, doubt = Number(value("doubt")) || 0;
  const sure = value("sure"), terms = words(value("find"));
  return one => one.rows.length >= least && one.rows.length <= most && one.doubt >= doubt
    && (!sure || one.confirmed === (sure === "yes"))
    && (!terms.length || terms.some(text => isCalled(one, text)))
    && (!fits || one.rows.some(fits));
}

export const filtered = () => ["camera", "new", "from", "to", "least", "most", "doubt", "sure", "find"]
  .some(id => value(id));

const KEYS = {
  doubt: one => -one.doubt,
  alike: one => -(one.near[0]?.[1] ?? 0),
  large: one => -one.rows.length,
  small: one => one.rows.length,
  number: one => one.number,
};

// Clusters keep their places while a person decides; what is new comes after where it came from.
export function shownClusters(near) {
  const key = KEYS[value("order")];
  const sorted = [...clusters.values()]
    .sort((a, b) => key(a) - key(b) || a.number - b.number).map(one => one.number);
  if (!order.length) order = sorted;
  const there = new Set(order);
  const fresh = sorted.filter(number => !there.has(number));
  if (fresh.length) {
    const place = order.indexOf(near);
    if (fresh.length > 20) order = sorted;
    else order.splice(place < 0 ? order.length : place + 1, 0, ...fresh);
  }
  const fits = clusterFits();
  return order.filter(number => clusters.has(number) && fits(clusters.get(number)));
}

// A cluster that goes on from another one is shown where that one was.
export function takePlace(gone, stays) {
  order = order.filter(number => number !== stays);
  const place = order.indexOf(gone);
  order.splice(place < 0 ? order.length : place, 1, stays);
}

export const sortAgain = () => { order = []; };

// Outliers, or added images that nobody confirmed, the nearest to a cluster first: one row each;
// strangers among the added ones that are a cluster have one together.
export function shownImages() {
  const fits = rowFits(), terms = words(value("find"));
  const nearest = row => nearOf(`${tab[0]}${row}`)[0]?.[1] ?? -1;
  const each = tab === "outliers" ? outliers() : [...new Set(added().map(row => Math.min(...group(row))))];
  return each.map(group)
    .filter(rows => (!fits || rows.some(fits)) && (!terms.length || terms.some(text => found(text, rows))))
    .map(rows => Math.min(...rows))
    .sort((a, b) => nearest(b) - nearest(a) || a - b);
}

// What the server knows: images (once) and the state (after each decision, of any page).
export const images = {};
export let state = null;
export let clusters = new Map(); // number -> cluster
const listeners = [];

export const onChange = listener => listeners.push(listener);
export const changed = () => listeners.forEach(listener => listener());

export async function load() {
  Object.assign(images, await (await fetch("images")).json());
  take(await (await fetch("state")).json());
}

function take(found) {
  if (state && found.version !== images.version) location.reload(); // images were added
  state = found;
  const known = found.known;
  clusters = new Map(known.map((number, n) => [number, {
    number, rows: [], name: found.names[n], doubt: found.doubt[n],
    confirmed: found.confirmed[n], near: found.near[n], cameras: new Set(),
  }]));
  found.numbers.forEach((number, row) => {
    const one = clusters.get(number);
    if (!one) return;
    one.rows.push(row);
    if (images.camera[row] >= 0) one.cameras.add(images.camera[row]);
  });
  // The least certain images come first: these are the ones to look at.
  for (const one of clusters.values()) {
    one.rows.sort((a, b) => found.relation[a] - found.relation[b] || a - b);
  }
  changed();
}

export const outliers = () => Object.keys(state.outliers).map(Number);
export const added = () => Object.keys(state.added).map(Number); // not confirmed yet
export const isAdded = row => row >= images.paths.length - images.added;
export const title = number => {
  const name = clusters.get(number)?.name;
  return name ? `${name} (${number})` : `cluster ${number}`;
};

// One action after the other: each must see what the one before it did.
let queue = Promise.resolve(), busy = 0;

export function act(wish) {
  busy++;
  const done = () => { busy--; };
  const sent = queue.then(() => send(wish));
  queue = sent.then(done, done);
  return sent;
}

async function send(wish) {
  let answer;
  try {
    const response = await fetch("act", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ revision: state.revision, ...wish }),
    });
    answer = response.headers.get("Content-Type") === "application/json"
      ? await response.json() : { problem: await response.text() };
  } catch {
    return { problem: gone };
  }
  if (answer.state) take(answer.state);
  return answer;
}

const gone = "mprd does not answer. Every decision before this is saved. Start `mprd browse` again, "
  + "and use the page that it opens.";

// Other pages and programs decide, too: their decisions are fetched.
export function watch(tell) {
  setInterval(async () => {
    if (document.hidden || busy) return;
    const before = state.revision;
    try {
      const response = await fetch(`state?${before}`);
      if (response.status === 204) return tell("");
      if (!response.ok) return tell(await response.text());
      const found = await response.json();
      if (busy || state.revision !== before) return; // an action is quicker
      take(found);
      tell("", "Another page or command changed the decisions: this is what holds now.");
    } catch {
      tell(gone);
    }
  }, 2000);
}

// Text of anyone in which nothing is hidden: control characters and marks that turn the direction
// are their codes, but for the joiners that words of some languages need.
export const visible = text => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, sign =>
  "\u200c\u200d".includes(sign) ? sign : `\\u{${sign.codePointAt(0).toString(16)}}`);

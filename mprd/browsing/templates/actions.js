// What a person does: one action each, said in the line at the foot of the page.
import { act, changed, clusters, state, visible } from "./model.js";
import { chosen, current, group } from "./card.js";
import { askClash, askName, compare } from "./dialogs.js";

const line = document.getElementById("says");
export function say(text, wrong = false) {
  line.textContent = visible(text);
  line.classList.toggle("wrong", wrong);
}

export async function perform(wish) {
  current.among = wish.action === "merge" ? wish.clusters : [];
  let answer = await act(wish);
  if (answer.clashes) {
    const entry = await askClash(answer.clashes);
    if (entry === null) return say("Nothing was changed.");
    answer = await act({ action: "retract", entry });
    if (!answer.problem) answer = await act(wish);
    if (answer.clashes) return perform(wish);
  }
  if (answer.problem) return say(answer.problem, true);
  if (wish.action !== "rename") chosen.rows.clear();
  if (wish.action === "merge") chosen.clusters.clear();
  changed();
  say(answer.done);
  return answer;
}

const number = () => (current.key?.[0] === "c" ? Number(current.key.slice(1)) : null);
const rows = () => [...chosen.rows];
const need = (what, done) => (what ? done() : say("Choose pictures first: Space, or the corner of a picture.", true));

export const merge = async () => {
  const picked = new Set(chosen.clusters);
  if (picked.size >= 2) return perform({ action: "merge", clusters: [...picked] });
  if (picked.size === 1 && number() !== null) picked.add(number());
  if (picked.size === 2) return look(...picked);
  const one = number(), near = clusters.get(one)?.near[0];
  if (near) return look(one, near[0]);
  return say("Choose two clusters: the box before their number, or the key a.", true);
};

export async function look(one, other) {
  const verdict = await compare(one, other);
  if (verdict === "same") return perform({ action: "merge", clusters: [one, other] });
  if (verdict === "different") return perform({ action: "different", clusters: [one, other] });
}

export const confirm = (one = number()) => one !== null && perform({ action: "confirm", clusters: [one] });
export const halve = (one = number()) => one !== null && perform({ action: "halve", clusters: [one] });
export const split = () => need(chosen.rows.size, () => perform({ action: "split", rows: rows() }));
export const not = () => need(chosen.rows.size, () => perform({ action: "not", rows: rows() }));
export const move = (to = number()) => need(chosen.rows.size && to !== null,
  () => perform({ action: "move", rows: rows(), to }));
export const belongs = (row, to) => perform({ action: "belongs", rows: group(row), to });
export const never = (row, to) => perform({ action: "not", rows: group(row), to });
export const fresh = row => perform({ action: "new", rows: group(row) });
export const nobody = () => need(chosen.rows.size, () => perform({ action: "new", rows: rows() }));
export const undo = () => state.undo && perform({ action: "undo" });
export const redo = () => state.redo && perform({ action: "redo" });
export const retract = entry => perform({ action: "retract", entry });

export async function rename(one = number()) {
  if (one === null) return;
  const name = await askName(one);
  if (name !== null) await perform({ action: "rename", clusters: [one], name });
}

export async function apply() {
  const button = document.getElementById("apply");
  button.disabled = true;
  say("Applying: the clusters are made again …");
  try {
    await perform({ action: "apply" });
  } finally {
    button.disabled = false;
  }
}

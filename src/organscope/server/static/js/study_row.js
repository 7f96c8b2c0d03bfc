// One image of a study in its list: what was found, how sure that is, and what the expert says.
import { attempt, post } from "./api.js";
import { h, toast } from "./dom.js";
import { expertWord, number, percent, plural, timeLeft, whole } from "./format.js";

// An image is reviewed once somebody judged its organ or looked at all its cells; only others are to be looked at.
export const isReviewed = (row) => Boolean(row.corrections.action || row.corrections.is_checked);
export const isDoubtful = (row) => Boolean(row.verdict && row.verdict.decision !== "accept" && !isReviewed(row));

// `hooks` has `query()`, `positive()`, `organs()` and `changed()`.
export function drawRow(row, hooks) {
  const { image } = row;
  const query = hooks.query();
  const page = `/images/${image.id}${query ? `?${query.replace("miss_cost", "cost").replace("min_recall", "recall")}` : ""}`;
  return h("li", { class: isDoubtful(row) ? "row doubt" : "row", "data-image": image.id },
    h("a", { href: page, tabindex: -1, "aria-label": image.name }, thumb(image)),
    h("div", {}, h("a", { class: "name", href: page, id: `name-${image.id}`, title: image.name }, image.name), h("span", { class: "faint num" }, `${image.width_px} × ${image.height_px} px`), flags(row)),
    answer(row), measures(row, hooks), acts(row, hooks));
}

function thumb(image) {
  if (!image.is_shown) return h("span", { class: "thumb" });
  const power = Math.max(0, Math.ceil(Math.log2(Math.max(image.height_px, image.width_px) / 256)));
  return h("img", { class: "thumb", src: `/api/images/${image.id}/tiles/${power}/0/0`, alt: "", loading: "lazy" });
}

function flags(row) {
  return h("div", { class: "tags" }, row.findings.quality.map((flag) => h("span", { class: "tag doubt", title: flag.reason }, flag.flag)));
}

function answer(row) {
  const { image, verdict } = row;
  if (!verdict) return h("div", {}, progress(image));
  if (row.corrections.action) return h("div", {}, h("div", { class: "answer" }, expertWord(row.corrections)), h("div", { class: "why" }, `${row.corrections.action === "accept" ? "accepted" : "named"} by ${row.corrections.who}`));
  const is_sure = verdict.decision === "accept";
  const likeliest = verdict.top[0];
  const likely = verdict.is_strange ? "" : `Likeliest: ${likeliest.organ}, ${percent(likeliest.probability)}. `;
  const words = is_sure ? `${percent(verdict.confidence)}${verdict.flagged ? ", flagged" : ""}` : `${likely}${verdict.why.join(" ")}`;
  return h("div", {}, h("div", { class: is_sure ? "answer" : "answer reason" }, is_sure ? verdict.organ : "I don’t know"), h("div", { class: "why", title: words }, words));
}

function progress(image) {
  if (image.state === "failed") return h("span", { class: "reason" }, image.message);
  if (image.state === "cancelled") return h("span", { class: "faint" }, "cancelled");
  const words = h("span", { class: "faint num" }, `${image.stage || "waiting"}, ${timeLeft(image.seconds_left)}`);
  return h("div", {}, words, image.state === "running" ? h("progress", { max: 1, value: image.fraction, "aria-label": `Analysis of ${image.name}` }) : null);
}

function measures(row, hooks) {
  if (!row.verdict) return h("div", {});
  const lines = [plural(row.image.n_cells ?? 0, "cell"), hooks.positive() ? `expected cost ${number(row.verdict.cost)}` : ""];
  if (row.agreement === "disagree") lines.push(`its cells say ${row.cells_organ}`);
  if (row.image.n_cells !== row.image.n_found) lines.push(`${whole(row.image.n_found)} found, then corrected`);
  if (row.findings.n_marked) lines.push(`${plural(row.findings.n_marked, "outline")} called wrong`);
  return h("div", { class: "faint num" }, lines.filter(Boolean).map((line) => h("div", {}, line)));
}

function acts(row, hooks) {
  const { image, verdict } = row;
  const act = (path, body) => attempt(async () => {
    await post(`/api/images/${image.id}/${path}`, body);
    hooks.changed();
  });
  const button = (name, words, path, body) => h("button", { class: "small", type: "button", id: `${name}-${image.id}`, "aria-label": `${words}: ${image.name}`, onclick: () => act(path, body) }, words);
  const box = h("div", { class: "acts" });
  if (image.state === "queued" || image.state === "running") box.append(button("cancel", "Cancel", "cancel"));
  else if (!verdict) box.append(button("retry", "Try again", "retry"));
  else if (row.corrections.action) box.append(button("undo", "Take back", "corrections", { action: "clear" }));
  else {
    const is_sure = verdict.decision === "accept";
    const organ = is_sure ? verdict.organ : verdict.top[0].organ;
    // Of an image that the network does not know, no organ is offered first.
    if (is_sure || !verdict.is_strange) box.append(button("accept", is_sure ? `Accept ${organ}` : `It is ${organ}`, "corrections", { action: "accept", organ }));
    box.append(overrideMenu(image, hooks, act));
  }
  return box;
}

function overrideMenu(image, hooks, act) {
  const input = h("input", { id: `override-${image.id}`, class: "small", list: "names", maxlength: 120, placeholder: "Another…", "aria-label": `Another name for ${image.name}` });
  input.addEventListener("change", () => {
    const organ = input.value.trim();
    if (!organ) return;
    input.value = "";
    act("corrections", { action: "override", organ });
    toast(`Noted: ${image.name} is ${organ}.`);
  });
  return input;
}

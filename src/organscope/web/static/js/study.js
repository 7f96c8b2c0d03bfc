// The study: all images, doubtful ones first, the dearest to miss at the top.
import { attempt, get, post } from "./api.js";
import { byId, facts, h, toast } from "./dom.js";
import { duration, number, percent, plural } from "./format.js";
import { makeQuestion } from "./question.js";

const study = facts().study;
const question = makeQuestion(byId("question"), () => refresh());
let timer = 0;
let asked = 0;
let organs = [];

// Answers that come too late, after the slider has moved on, are dropped.
async function refresh() {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const found = await get(`/api/studies/${study}?${question.query()}`);
    if (mine !== asked) return;
    draw(found);
    timer = setTimeout(refresh, found.study.n_waiting ? 1000 : 15000);
  } catch (error) {
    byId("study-title").textContent = "This study cannot be shown";
    byId("study-facts").textContent = error.message;
  }
}

function draw(found) {
  organs = found.organs;
  document.title = `${found.study.name} · organscope`;
  byId("study-title").textContent = byId("crumb").textContent = found.study.name;
  const doubtful = found.rows.filter((row) => row.verdict && row.verdict.decision !== "accept" && !row.corrections.organ).length;
  const parts = [plural(found.study.n_images, "image"), `${found.study.n_done} done`, found.study.n_waiting ? `${found.study.n_waiting} waiting` : "", found.study.n_failed ? `${found.study.n_failed} failed` : "", doubtful ? `${doubtful} to look at` : ""];
  byId("study-facts").textContent = parts.filter(Boolean).join(" · ");
  byId("order-note").textContent = question.positive()
    ? `Those without a reliable answer come first, ordered by what it would cost to be wrong about ${question.positive()}.`
    : "Those without a reliable answer come first, the least sure at the top.";
  question.setOrgans(organs);
  question.setPromise(found.promise);
  drawActions(found);
  drawCounts(found.rows);
  const held = document.activeElement?.id;
  byId("rows").replaceChildren(...found.rows.map(drawRow));
  if (held) byId(held)?.focus({ preventScroll: true });
}

function drawActions(found) {
  const query = question.query() ? `?${question.query()}` : "";
  const is_done = found.study.n_done > 0;
  const link = (name, text) => (is_done ? h("a", { class: "button", href: `/api/studies/${study}/${name}`, download: true }, text) : null);
  byId("study-actions").replaceChildren(...[
    link(`report.html${query}`, "Report (HTML)"), link(`report.pdf${query}`, "Report (PDF)"),
    is_done ? h("button", { type: "button", onclick: takeAnnotations }, "Corrected annotations") : null,
    h("button", { type: "button", class: "quiet", onclick: remove }, "Remove"),
  ].filter(Boolean));
}

async function takeAnnotations() {
  await attempt(async () => {
    const answer = await fetch(`/api/studies/${study}/annotations.zip`);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: "annotations.zip" });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

async function remove() {
  if (!confirm("Remove this study with its results and corrections?")) return;
  await fetch(`/api/studies/${study}`, { method: "DELETE" });
  location.href = "/";
}

function drawCounts(rows) {
  const counts = new Map();
  for (const row of rows) {
    const organ = row.corrections.organ ?? (row.verdict?.decision === "accept" ? row.verdict.organ : row.verdict ? "not known" : null);
    if (organ) counts.set(organ, (counts.get(organ) ?? 0) + 1);
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  byId("organ-counts").replaceChildren(...sorted.map(([organ, n]) => h("span", { class: organ === "not known" ? "tag doubt" : "tag" }, `${organ} ${n}`)));
}

function drawRow(row) {
  const { image, verdict } = row;
  const is_doubtful = verdict && verdict.decision !== "accept" && !row.corrections.organ;
  const query = question.query();
  const page = `/images/${image.id}${query ? `?${query.replace("miss_cost", "cost").replace("min_recall", "recall")}` : ""}`;
  return h("article", { class: is_doubtful ? "row doubt" : "row", role: "listitem", "data-image": image.id },
    h("a", { href: page, tabindex: -1, "aria-hidden": true }, thumb(image)),
    h("div", {}, h("a", { class: "name", href: page, id: `name-${image.id}` }, image.name), h("span", { class: "faint num" }, `${image.width_px} × ${image.height_px} px`), flags(row)),
    answer(row), measures(row), acts(row));
}

function thumb(image) {
  if (!image.is_shown) return h("span", { class: "thumb" });
  const power = Math.max(0, Math.ceil(Math.log2(Math.max(image.height_px, image.width_px) / 256)));
  return h("img", { class: "thumb", src: `/api/images/${image.id}/tiles/${power}/0/0`, alt: "", loading: "lazy" });
}

function flags(row) {
  return h("div", { class: "tags" }, row.quality.map((flag) => h("span", { class: "tag doubt", title: flag.reason }, flag.flag)));
}

function answer(row) {
  const { image, verdict } = row;
  if (!verdict) return h("div", {}, progress(image));
  const expert = row.corrections.organ;
  if (expert) return h("div", {}, h("div", { class: "answer" }, expert), h("div", { class: "why" }, `${row.corrections.action === "accept" ? "accepted" : "named"} by ${row.corrections.who}`));
  const is_sure = verdict.decision === "accept";
  return h("div", {},
    h("div", { class: is_sure ? "answer" : "answer reason" }, is_sure ? verdict.organ : "I don't know"),
    h("div", { class: "why", title: verdict.reason }, is_sure ? `${percent(verdict.confidence)}${verdict.flagged ? ", flagged" : ""}` : `perhaps ${verdict.organ}, ${percent(verdict.confidence)}: ${verdict.reason}`));
}

function progress(image) {
  if (image.state === "failed") return h("span", { class: "reason" }, image.message);
  if (image.state === "cancelled") return h("span", { class: "faint" }, "cancelled");
  return h("div", {}, h("span", { class: "faint num" }, `${image.stage || "waiting"}, ${duration(image.seconds_left ?? 0)} left`), h("progress", { max: 1, value: image.fraction, "aria-label": `Analysis of ${image.name}` }));
}

function measures(row) {
  if (!row.verdict) return h("div", {});
  const lines = [plural(row.image.n_cells ?? 0, "cell"), question.positive() ? `a mistake costs ${number(row.verdict.cost)}` : ""];
  if (row.agreement === "disagree") lines.push(`its cells say ${row.cells_organ}`);
  return h("div", { class: "faint num" }, lines.filter(Boolean).map((line) => h("div", {}, line)));
}

function acts(row) {
  const { image, verdict } = row;
  const box = h("div", { class: "acts" });
  const say = (body) => attempt(async () => {
    await post(`/api/images/${image.id}/corrections`, body);
    refresh();
  });
  if (image.state === "queued" || image.state === "running") {
    box.append(h("button", { class: "small", type: "button", id: `cancel-${image.id}`, onclick: () => attempt(async () => { await post(`/api/images/${image.id}/cancel`); refresh(); }) }, "Cancel"));
  } else if (!verdict) {
    box.append(h("button", { class: "small", type: "button", id: `retry-${image.id}`, onclick: () => attempt(async () => { await post(`/api/images/${image.id}/retry`); refresh(); }) }, "Try again"));
  } else if (row.corrections.organ) {
    box.append(h("button", { class: "small", type: "button", id: `undo-${image.id}`, onclick: () => say({ action: "clear" }) }, "Take back"));
  } else {
    box.append(h("button", { class: "small", type: "button", id: `accept-${image.id}`, "aria-label": `Accept ${verdict.organ} for ${image.name}`, onclick: () => say({ action: "accept", organ: verdict.organ }) }, `Accept ${verdict.organ}`),
      overrideMenu(image, say));
  }
  return box;
}

function overrideMenu(image, say) {
  const menu = h("select", { id: `override-${image.id}`, "aria-label": `Another organ for ${image.name}` }, h("option", { value: "" }, "Another…"), organs.map((name) => h("option", { value: name }, name)));
  menu.addEventListener("change", () => {
    if (!menu.value) return;
    say({ action: "override", organ: menu.value });
    toast(`Noted: ${image.name} is ${menu.value}.`);
  });
  return menu;
}

refresh();

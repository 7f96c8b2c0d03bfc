// The study: all images, doubtful ones first, the dearest to miss at the top.
import { read, write } from "./address.js";
import { runAgain } from "./again.js";
import { attempt, get, request } from "./api.js";
import { byId, facts, h, toast } from "./dom.js";
import { expertWord, optionsInWords, plural, whole } from "./format.js";
import { changePixelSize } from "./pixel_size.js";
import { makeQuestion } from "./question.js";
import { Teaching } from "./teaching.js";
import { drawRow, isDoubtful, isReviewed } from "./study_row.js";

const study = facts().study;
const question = makeQuestion(byId("question"), () => refresh());
const teaching = new Teaching(byId("teaching"), study);
const BUSY_MS = 1000;
const IDLE_MS = 15000;
// More rows than this are drawn when they are asked for.
const STEP = 100;
const KINDS = { "": () => true, open: isDoubtful, reviewed: isReviewed, flagged: (row) => row.findings.quality.length > 0 };
const WORDS = { "": "all", open: "to look at", reviewed: "reviewed", flagged: "quality flags" };
let timer = 0;
let asked = 0;
let latest = null;
let n_drawn = STEP;

// Answers that come too late, after the slider has moved on, are dropped.
async function refresh() {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const found = await get(`/api/studies/${study}?${question.query()}`);
    if (mine !== asked) return;
    latest = found;
    draw();
    timer = setTimeout(refresh, found.study.n_waiting ? BUSY_MS : IDLE_MS);
  } catch (error) {
    if (error.is_away) return;
    byId("study-title").textContent = "This study cannot be shown";
    byId("study-facts").textContent = error.message;
  }
}

const hooks = { query: () => question.query(), positive: () => question.positive(), organs: () => latest.organs, changed: refresh };

function draw() {
  const { study: info, rows, organs, promise } = latest;
  document.title = `${info.name} · organscope`;
  byId("study-title").textContent = byId("crumb").textContent = info.name;
  const parts = [plural(info.n_images, "image"), `${info.n_done} done`, info.n_waiting ? `${info.n_waiting} waiting` : "", info.n_failed ? `${info.n_failed} failed` : "", `${rows.filter(isDoubtful).length} to look at`, `${rows.filter(KINDS.reviewed).length} reviewed`];
  if (optionsInWords(info)) parts.push(`given: ${optionsInWords(info)}`);
  byId("study-facts").textContent = parts.filter(Boolean).join(" · ");
  byId("order-note").textContent = question.positive()
    ? "Those without a reliable answer come first, then by expected cost: the chance that the answer is wrong times what that would cost, where a false alarm costs 1."
    : "Those without a reliable answer come first, the least sure at the top.";
  question.setOrgans(organs);
  question.setPromise(promise);
  drawActions(info);
  teaching.update(rows, info.name);
  drawChoices(rows);
  drawRows(rows);
}

// What holds the focus is drawn anew; it gets the focus back.
function drawRows(rows) {
  const chosen = rows.filter(KINDS[read("show")] ?? KINDS[""]).filter((row) => !read("organ") || organOf(row) === read("organ"));
  sessionStorage.setItem(`order-${study}`, JSON.stringify(chosen.map((row) => row.image.id)));
  const held = document.activeElement?.id;
  // Not while something is written there.
  if (document.activeElement?.tagName === "INPUT" && byId("rows").contains(document.activeElement) && document.activeElement.value) return;
  const names = new Set([...chosen.map((row) => row.corrections.organ).filter(Boolean), ...latest.organs]);
  byId("names").replaceChildren(...[...names].map((value) => h("option", { value })));
  const more = chosen.length > n_drawn ? h("button", { type: "button", id: "more", onclick: () => { n_drawn += STEP; draw(); } }, `Show ${whole(Math.min(STEP, chosen.length - n_drawn))} more of ${whole(chosen.length)}`) : null;
  byId("rows").replaceChildren(...chosen.slice(0, n_drawn).map((row) => drawRow(row, hooks)), more ? h("li", {}, more) : "", chosen.length ? "" : h("li", { class: "empty" }, rows.length ? "No image is like that." : "No images yet."));
  if (held) byId(held)?.focus({ preventScroll: true });
}

function drawActions(info) {
  const query = question.query() ? `?${question.query()}` : "";
  const menu = byId("take-menu");
  menu.hidden = info.n_done === 0;
  const link = (path, words, what, wait = "") => h("a", { class: "button", href: `/api/studies/${study}/${path}`, download: true, onclick: () => wait && toast(wait) }, words, h("small", {}, what));
  byId("take-items").replaceChildren(
    link(`report.pdf${query}`, "Report as PDF", "with methods", "The report is being made; it arrives as a download."),
    link(`report.html${query}`, "Report as HTML", "one file", "The report is being made; it arrives as a download."),
    link(`tables/images.csv${query}`, "Images as CSV", "one row an image"), link(`tables/cells.csv`, "Cells as CSV", "of all images"),
    h("button", { type: "button", onclick: takeAnnotations }, "Corrected annotations", h("small", {}, "to train on")));
}

async function takeAnnotations() {
  await attempt(async () => {
    const answer = await request(`/api/studies/${study}/annotations.zip`);
    const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: `${latest.study.name}-annotations.zip` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

const changeSize = () => changePixelSize(study, latest.study.um_per_px, refresh);

async function remove() {
  if (!confirm("Remove this study with its results and corrections?")) return;
  await attempt(async () => {
    await request(`/api/studies/${study}`, { method: "DELETE" });
    location.href = "/";
  });
}

const organOf = (row) => (row.corrections.action ? expertWord(row.corrections) : null) ?? (row.verdict?.decision === "accept" ? row.verdict.organ : row.verdict ? "not known" : null);

// How many images are of which kind and organ; each is a switch that shows only these.
function drawChoices(rows) {
  const held = document.activeElement?.id;
  const counts = new Map();
  for (const row of rows) if (organOf(row)) counts.set(organOf(row), (counts.get(organOf(row)) ?? 0) + 1);
  const kinds = Object.keys(KINDS).map((kind) => choice("show", kind, WORDS[kind], rows.filter(KINDS[kind]).length));
  const organs = [...counts].sort((a, b) => b[1] - a[1]).map(([organ, n]) => choice("organ", organ, organ, n));
  byId("organ-counts").replaceChildren(...kinds, organs.length ? h("span", { class: "divider" }) : "", ...organs);
  if (held?.startsWith("choice-")) byId(held)?.focus({ preventScroll: true });
}

function choice(name, value, words, n) {
  const is_on = read(name) === value;
  const press = () => {
    write({ [name]: is_on ? "" : value });
    n_drawn = STEP;
    draw();
  };
  return h("button", { type: "button", id: `choice-${name}-${value}`, "aria-pressed": String(is_on), onclick: press }, words, h("span", { class: "n num" }, whole(n)));
}

addEventListener("serverback", refresh);
byId("run-again").addEventListener("click", () => runAgain(study, latest.study.name, [], "all images of this study"));
byId("remove").addEventListener("click", remove);
byId("change-pixel-size").addEventListener("click", changeSize);
addEventListener("click", (event) => !byId("take-menu").contains(event.target) && byId("take-menu").removeAttribute("open"));
addEventListener("keydown", (event) => event.key === "Escape" && byId("take-menu").removeAttribute("open"));
refresh();

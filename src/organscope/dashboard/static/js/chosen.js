// What belongs to the chosen runs: learning curves, settings that differ, scores, figures and samples side by side.
import { get } from "./api.js";
import { lineChart } from "./chart.js";
import { chipOf, look } from "./colours.js";
import { byId, el } from "./dom.js";
import { metricName, number } from "./format.js";
import { keepState, state } from "./state.js";

const MAIN = ["validation/pq", "validation/balanced_accuracy", "validation/accuracy", "validation/mean_ap", "validation/nll"];
const OWN_FACTS = ["git_commit", "git_changed", "host", "data_fingerprint", "organscope"];
const PLAIN = ["learning_rate", "images_per_s", "memory_mb", "seconds_per_epoch"];
const MOST_CHARTS = 6;
let asked = 0;

export async function showChosen(data, changed) {
  const runs = state.chosen.map((id) => data.runs.find((run) => run.id === id)).filter(Boolean);
  const room = byId("chosen");
  if (!runs.length) { room.replaceChildren(el("p", { class: "empty hint" }, "Choose runs in the table to lay their curves, settings, scores and pictures side by side.")); return; }
  const mine = ++asked;
  const available = metricsOf(data, runs);
  if (!state.metrics.some((name) => available.includes(name))) state.metrics = firstMetrics(available);
  const metrics = state.metrics.filter((name) => available.includes(name)).slice(0, MOST_CHARTS);
  keepState();
  const words = new URLSearchParams([...runs.map((run) => ["run", run.id]), ...metrics.map((name) => ["metric", name])]);
  try {
    const [curves, ...details] = await Promise.all([metrics.length ? get(`/api/curves?${words}`) : {}, ...runs.map((run) => get(`/api/runs/${run.id}`))]);
    if (mine !== asked) return;
    room.replaceChildren(
      curvesPanel(data, runs, available, metrics, curves, changed),
      ...[settingsPanel(runs, details), scoresPanel(runs, details), picturesPanel(runs, details)].filter(Boolean),
    );
  } catch (error) {
    if (mine === asked) room.replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

function metricsOf(data, runs) {
  const places = runs.map((run) => data.runs.indexOf(run));
  return Object.keys(data.metrics).filter((name) => places.some((place) => data.metrics[name][place] !== null));
}

function firstMetrics(available) {
  const main = MAIN.find((name) => available.includes(name)) || available.find((name) => name.startsWith("validation/"));
  const found = ["train/loss", main].filter((name) => available.includes(name));
  return found.length ? found : available.filter((name) => !PLAIN.includes(name)).slice(0, 2);
}

function curvesPanel(data, runs, available, metrics, curves, changed) {
  const charts = metrics.map((name) => el("figure", { class: "panel" },
    el("figcaption", {}, el("strong", {}, metricName(name)), el("button", { class: "quiet small", type: "button", "aria-label": `Remove ${metricName(name)}`, onclick: () => {
      state.metrics = metrics.filter((other) => other !== name);
      if (!state.metrics.length) state.metrics = firstMetrics(available);
      changed("curves");
    } }, "×")),
    lineChart(runs.map((run, place) => ({ name: run.name, ...look(place), points: curves[name]?.[run.id] || [] })), { label: metricName(name), log: state.log })));
  const more = available.filter((name) => !metrics.includes(name));
  const add = el("select", { "aria-label": "Add a curve", onchange: (event) => { state.metrics = [...metrics, event.target.value]; changed("curves"); } },
    el("option", { value: "" }, "Add a curve …"), more.map((name) => el("option", { value: name }, name)));
  const log = el("input", { type: "checkbox", checked: state.log, onchange: (event) => { state.log = event.target.checked; changed("curves"); } });
  return el("section", { id: "curves" },
    el("div", { class: "bar" }, el("h2", {}, "Learning curves"), metrics.length < MOST_CHARTS && more.length ? add : null, el("label", {}, log, "logarithmic"), legend(runs)),
    el("div", { class: "charts" }, charts), el("div", { id: "in-mlflow" }, mlflowLinks(data, runs)));
}

// MLflow's page opens some time after the runs were chosen.
export function linkChosen(data) {
  const runs = state.chosen.map((id) => data.runs.find((run) => run.id === id)).filter(Boolean);
  byId("in-mlflow")?.replaceChildren(...[mlflowLinks(data, runs)].filter(Boolean));
}

function legend(runs) {
  return el("div", { class: "legend" }, runs.map((run, place) => el("span", {}, chip(place), run.name)));
}

const chip = (place) => chipOf(look(place));

// Each run's page in MLflow, where that is open and there is one store only.
function mlflowLinks(data, runs) {
  const pages = Object.entries(data.companions).filter(([key]) => key.startsWith("mlflow")).map(([, companion]) => companion.address);
  if (pages.length !== 1 || !pages[0]) return null;
  return el("div", { class: "legend" }, el("span", { class: "faint" }, "In MLflow:"), runs.map((run, place) => el("a", { href: `${pages[0]}#/experiments/${run.experiment_id}/runs/${run.id}`, target: "_blank", rel: "noopener" }, chip(place), run.name)));
}

const heads = (runs, first) => el("tr", {}, first.map((title) => el("th", {}, title)), runs.map((run, place) => el("th", {}, chip(place), run.name)));

function settingsPanel(runs, details) {
  const rows = differing(details.map((detail) => detail.params)).concat(differing(details.map((detail) => Object.fromEntries(OWN_FACTS.map((name) => [name, detail.tags[name] || ""])))));
  const shown = runs.length === 1 ? Object.entries(details[0].params).map(([name, value]) => [name, [value]]) : rows;
  if (!shown.length) return null;
  const table = el("div", { class: "table" }, el("table", {}, el("thead", {}, heads(runs, ["setting"])),
    el("tbody", {}, shown.map(([name, values]) => el("tr", {}, el("td", {}, name), values.map((value) => el("td", { class: "value" }, value)))))));
  return el("section", { id: "settings" }, el("h2", {}, runs.length === 1 ? "Settings" : "Settings that differ"), table);
}

function differing(records) {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))].sort();
  const rows = names.map((name) => [name, records.map((record) => record[name] ?? "")]);
  return rows.filter(([, values]) => new Set(values).size > 1);
}

function scoresPanel(runs, details) {
  const keys = new Map();
  details.forEach((detail, place) => detail.scores.forEach((score) => {
    const key = [score.dataset, score.subset, score.metric].join(" · ");
    if (!keys.has(key)) keys.set(key, runs.map(() => null));
    keys.get(key)[place] = score;
  }));
  if (!keys.size) return null;
  const cell = (score) => el("td", { class: "number" }, score ? [number(score.value), score.low === null ? "" : el("span", { class: "faint" }, ` ${number(score.low)} to ${number(score.high)}`)] : "");
  const table = el("div", { class: "table tall" }, el("table", {}, el("thead", {}, heads(runs, ["score"])),
    el("tbody", {}, [...keys].map(([name, scores]) => el("tr", {}, el("td", {}, name), scores.map(cell))))));
  return el("section", { id: "scores" }, el("h2", {}, "Scores of the bundle, with 95 % intervals"), table);
}

function picturesPanel(runs, details) {
  const names = [...new Set(details.flatMap((detail) => detail.pictures.map((picture) => picture.name)))];
  if (!names.length) return null;
  const rows = names.map((name) => el("tr", {}, runs.map((run, place) => {
    const picture = details[place].pictures.find((known) => known.name === name);
    if (!picture) return el("td", {});
    const address = `/api/runs/${run.id}/pictures/${name.split("/").map(encodeURIComponent).join("/")}`;
    const image = el("img", { src: address, alt: `${picture.title} of ${run.name}`, loading: "lazy" });
    return el("td", {}, el("button", { class: "picture", type: "button", onclick: () => enlarge(address, `${run.name}: ${picture.title}`) }, image), el("span", { class: "faint" }, picture.title));
  })));
  return el("section", { id: "pictures" }, el("h2", {}, "Figures and sample predictions"),
    el("div", { class: "table" }, el("table", { class: "pictures" }, el("thead", {}, heads(runs, [])), el("tbody", {}, rows))));
}

function enlarge(address, title) {
  const dialog = el("dialog", { "aria-label": title }, el("form", { method: "dialog" }, el("strong", {}, title), el("button", {}, "Close")), el("img", { src: address, alt: title }));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

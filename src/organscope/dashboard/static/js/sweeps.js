// One sweep: its facts, the figures that the sweep itself draws, and its trials.
import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { number } from "./format.js";
import { keepState, state } from "./state.js";
import { theme } from "./theme.js";

let asked = 0;

export async function showSweeps(data, showRuns) {
  const room = byId("view-sweeps");
  const keys = Object.keys(data.sweeps);
  if (!keys.length) { room.replaceChildren(el("p", { class: "empty" }, "No sweep lies in this folder. organscope sweep makes one.")); return; }
  if (!keys.includes(state.sweep)) state.sweep = keys[keys.length - 1];
  keepState();
  const chosen = data.sweeps[state.sweep];
  const choice = el("select", { id: "sweep", onchange: (event) => { state.sweep = event.target.value; showSweeps(data, showRuns); } },
    keys.map((key) => el("option", { value: key, selected: key === state.sweep }, `${data.sweeps[key].name} (${data.sweeps[key].task})`)));
  const tracked = data.runs.some((run) => run.sweep === chosen.name);
  const bar = el("div", { class: "bar" }, el("label", {}, "Sweep ", choice),
    tracked && el("button", { type: "button", onclick: () => showRuns(chosen.name) }, "Its runs in the table"), el("span", { class: "faint" }, chosen.folder));
  const place = el("div", { id: "sweep-content", "aria-busy": "true" }, el("p", { class: "empty" }, "Reading the study and drawing …"));
  room.replaceChildren(bar, place);
  const mine = ++asked;
  try {
    const sweep = await get(`/api/sweeps/${state.sweep}`);
    if (mine === asked) place.replaceChildren(facts(sweep), figures(sweep), trials(sweep));
  } catch (error) {
    if (mine === asked) place.replaceChildren(el("p", { class: "problem" }, error.message));
  }
  if (mine === asked) place.removeAttribute("aria-busy");
}

function facts(sweep) {
  return el("dl", { class: "facts" }, sweep.facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function figures(sweep) {
  if (!sweep.figures.length) return el("p", { class: "empty" }, "Figures need two trials with a result.");
  return el("div", { class: "figures" }, sweep.figures.map((figure) => el("figure", { class: "panel" },
    el("figcaption", {}, el("strong", {}, figure.title), el("p", { class: "faint" }, figure.caption)),
    el("img", { src: `${figure.address}/${theme()}.svg?${figure.version}`, "data-address": figure.address, "data-version": figure.version, alt: `${figure.title}. ${figure.caption}` }))));
}

// The figures exist once for light and once for dark ground.
export function repaintSweep() {
  for (const image of document.querySelectorAll("#view-sweeps img[data-address]")) image.src = `${image.dataset.address}/${theme()}.svg?${image.dataset.version}`;
}

function trials(sweep) {
  const metrics = sweep.objectives.map((aim) => aim.metric);
  const columns = ["trial", "state", ...metrics, ...sweep.parameters, "epochs", "seconds", "reason"].filter((name) => sweep.trials.some((trial) => trial[name] !== null && trial[name] !== ""));
  const text = (value) => (typeof value === "number" ? number(value) : value === null ? "" : String(value));
  const row = (trial) => el("tr", { class: trial.best ? "best" : null }, columns.map((name) => el("td", { class: typeof trial[name] === "number" ? "number" : null }, name === "state" ? el("span", { class: `tag ${trial.state}` }, trial.best ? `${trial.state}, best` : trial.state) : text(trial[name]))));
  return el("section", {}, el("h2", {}, `${sweep.trials.length} trials`), el("div", { class: "table tall" }, el("table", {},
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { class: sweep.trials.some((trial) => typeof trial[name] === "number") ? "number" : null }, name)))), el("tbody", {}, sweep.trials.map(row)))));
}

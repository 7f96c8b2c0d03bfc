// Links into MLflow's page and optuna-dashboard, which are started beside this one.
import { post } from "./api.js";
import { byId, el } from "./dom.js";
import { state } from "./state.js";

export function showCompanions(data, again) {
  const shown = Object.entries(data.companions).filter(([key]) => key.startsWith("mlflow") || key === wantedSweep(data));
  byId("companions").replaceChildren(...shown.map(([key, companion]) => link(key, companion, again)));
}

// optuna-dashboard shows one study: that of the sweep in view, else the newest, which was started with the page.
function wantedSweep(data) {
  if (state.view === "sweeps" && data.sweeps[state.sweep]) return state.sweep;
  const started = Object.keys(data.sweeps).find((key) => data.companions[key].state !== "stopped");
  return started || Object.keys(data.sweeps).pop();
}

function link(key, companion, again) {
  if (companion.state === "ready") return el("a", { href: companion.address, target: "_blank", rel: "noopener" }, `${companion.label} ↗`);
  if (companion.state === "missing") return el("span", { class: "faint", title: companion.missing }, `${companion.label}: not installed`);
  if (companion.state === "starting") return el("span", { class: "faint", "aria-live": "polite" }, `${companion.label} starts …`);
  const start = async (event) => { event.target.disabled = true; await post(`/api/companions/${key}`); again(); };
  return el("button", { class: "small", type: "button", onclick: start }, companion.state === "failed" ? `${companion.label} ended: start again` : `Start ${companion.label}`);
}

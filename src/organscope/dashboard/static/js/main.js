// The page: reads the overview, shows the view that was chosen, looks for news.
import { overview } from "./api.js";
import { linkChosen, showChosen } from "./chosen.js";
import { showCompanions } from "./companions.js";
import { byId, el } from "./dom.js";
import { keepState, readState, state } from "./state.js";
import { repaintSweep, showSweeps } from "./sweeps.js";
import { fillMenus, firstColumns, showTable, startTable } from "./table.js";
import { startTheme } from "./theme.js";

const NEWS_MS = 10_000;
const SOON_MS = 2_000;
let data = null;
let menus = "";

function changed(what) {
  if (!data) return;
  if (what !== "curves") showTable(data, changed);
  if (what !== "table") showChosen(data, changed);
}

async function refresh() {
  try {
    const news = await overview();
    if (!news) return;
    const first = data === null;
    const same = !first && JSON.stringify(news.runs) === JSON.stringify(data.runs) && JSON.stringify(news.metrics) === JSON.stringify(data.metrics);
    data = news;
    showFrame();
    if (same) return;
    show(first);
  } catch (error) {
    byId("problems").replaceChildren(el("p", { class: "problem" }, `The server does not answer: ${error.message}`));
  }
}

function showFrame() {
  byId("n-runs").textContent = data.runs.length;
  byId("n-sweeps").textContent = Object.keys(data.sweeps).length;
  byId("problems").replaceChildren(...data.problems.map((sentence) => el("p", { class: "problem" }, sentence)));
  showCompanions(data, refresh);
  linkChosen(data);
}

function show(first) {
  if (first && !state.columns.length) state.columns = firstColumns(data);
  if (first && !data.runs.length && Object.keys(data.sweeps).length) state.view = "sweeps";
  // Menus that are open keep the place of the reader.
  const names = JSON.stringify([Object.keys(data.metrics), Object.keys(data.params)]);
  if (names !== menus) fillMenus(data, changed);
  menus = names;
  if (data.runs.length) changed("all");
  else byId("runs").replaceChildren(el("p", { class: "empty" }, "No run is tracked here yet. organscope train tracks each in MLflow."));
  if (first) openView(state.view);
  else if (state.view === "sweeps") showSweeps(data, showRunsOf);
}

function openView(name) {
  state.view = name;
  for (const view of ["runs", "sweeps"]) {
    byId(`view-${view}`).hidden = view !== name;
    byId(`tab-${view}`).setAttribute("aria-selected", String(view === name));
    byId(`tab-${view}`).tabIndex = view === name ? 0 : -1;
  }
  keepState();
  if (data && name === "sweeps") showSweeps(data, showRunsOf).then(() => showCompanions(data, refresh));
  if (data) showCompanions(data, refresh);
}

function showRunsOf(sweep) {
  state.filter = `sweep=${sweep}`;
  byId("filter").value = state.filter;
  openView("runs");
  changed("table");
}

function startTabs() {
  for (const view of ["runs", "sweeps"]) {
    byId(`tab-${view}`).addEventListener("click", () => openView(view));
    byId(`tab-${view}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const other = view === "runs" ? "sweeps" : "runs";
      openView(other);
      byId(`tab-${other}`).focus();
    });
  }
}

readState();
startTabs();
startTable(changed);
startTheme(byId("theme"), () => { changed("all"); repaintSweep(); });

async function follow() {
  if (!document.hidden || data === null) await refresh();
  const soon = Object.values(data?.companions || {}).some((companion) => companion.state === "starting");
  setTimeout(follow, soon ? SOON_MS : NEWS_MS);
}
follow();

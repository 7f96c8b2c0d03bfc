// The table of runs: filter, sort, group, choose.
import { MOST_CHOSEN, look } from "./colours.js";
import { byId, el } from "./dom.js";
import { makeFilter } from "./filter.js";
import { duration, metricName, number, when } from "./format.js";
import { keepState, state } from "./state.js";

const MOST_ROWS = 1000;
const FIRST_METRICS = ["validation/pq", "validation/balanced_accuracy", "validation/accuracy", "validation/mean_ap", "validation/dice", "validation/nll", "train/loss"];
const FIRST_SHOWN = 4;
const GROUPS = { "": "nothing", network: "network", task: "task", sweep: "sweep", experiment: "experiment", status: "status" };

const FIXED = [
  { key: "name", title: "run", value: (run) => run.name },
  { key: "status", title: "status", value: (run) => run.status, cell: (run) => el("span", { class: `tag ${run.status}` }, run.status) },
  { key: "started", title: "started", value: (run) => run.started_ms, text: (run) => when(run.started_ms), numeric: true },
  { key: "seconds", title: "time", value: (run) => run.seconds, text: (run) => duration(run.seconds), numeric: true },
  { key: "task", title: "task", value: (run) => run.task },
  { key: "network", title: "network", value: (run) => run.network },
  { key: "sweep", title: "sweep", value: (run) => run.sweep, text: (run) => (run.sweep ? `${run.sweep} #${run.trial}` : "") },
];

export function firstColumns(data) {
  const known = FIRST_METRICS.filter((name) => data.metrics[name]);
  const others = Object.keys(data.metrics).filter((name) => name.startsWith("validation/") && !known.includes(name));
  return [...known, ...others].slice(0, FIRST_SHOWN).map((name) => `m:${name}`);
}

function columnsOf(data) {
  const fixed = FIXED.filter((column) => data.runs.some((run) => column.value(run) !== "" && column.value(run) !== null));
  const chosen = state.columns.map((key) => {
    const name = key.slice(2);
    const values = (key.startsWith("m:") ? data.metrics : data.params)[name];
    if (!values) return null;
    const numeric = key.startsWith("m:") || values.every((value) => value === "" || !Number.isNaN(Number(value)));
    const value = (run, place) => (numeric && values[place] !== "" && values[place] !== null ? Number(values[place]) : values[place]);
    const text = (run, place) => (numeric && values[place] !== "" ? number(value(run, place)) : values[place]);
    return { key, title: key.startsWith("m:") ? metricName(name) : name, full: name, value, text, numeric, medians: numeric };
  });
  return [...fixed, ...chosen.filter(Boolean)];
}

// A missing value is last, whichever way the table is sorted.
function compare(a, b, down) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return down ? -order : order;
}

export function startTable(changed) {
  byId("filter").value = state.filter;
  byId("filter").addEventListener("input", (event) => { state.filter = event.target.value; changed("table"); });
  const group = byId("group");
  group.addEventListener("change", () => { state.group = group.value; changed("table"); });
  byId("clear").addEventListener("click", () => { state.chosen = []; changed("chosen"); });
  byId("runs").addEventListener("keydown", moveWithArrows);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId("columns").open = false;
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { event.preventDefault(); byId("filter").focus(); }
  });
  document.addEventListener("click", (event) => { if (!byId("columns").contains(event.target)) byId("columns").open = false; });
}

export function fillMenus(data, changed) {
  const varying = Object.keys(data.params);
  byId("group").replaceChildren(
    ...Object.entries(GROUPS).map(([value, title]) => el("option", { value, selected: state.group === value }, title)),
    ...varying.map((name) => el("option", { value: `p:${name}`, selected: state.group === `p:${name}` }, name)),
  );
  const list = (title, prefix, names) => names.length && el("fieldset", {}, el("legend", {}, title), names.map((name) => el("label", {},
    el("input", { type: "checkbox", checked: state.columns.includes(prefix + name), onchange: (event) => {
      state.columns = event.target.checked ? [...state.columns, prefix + name] : state.columns.filter((key) => key !== prefix + name);
      changed("table");
    } }), name)));
  byId("column-list").replaceChildren(...[list("Last value of", "m:", Object.keys(data.metrics)), list("Settings that differ", "p:", varying)].filter(Boolean));
}

export function showTable(data, changed) {
  const columns = columnsOf(data);
  const holds = makeFilter(state.filter, data);
  let places = data.runs.map((_, place) => place).filter(holds);
  const by = columns.find((column) => column.key === state.sort) || columns[0];
  places.sort((a, b) => compare(by.value(data.runs[a], a), by.value(data.runs[b], b), state.down));
  byId("shown").textContent = places.length === data.runs.length ? `${places.length} runs` : `${places.length} of ${data.runs.length} runs`;
  const rest = places.length - MOST_ROWS;
  places = places.slice(0, MOST_ROWS);
  const table = el("table", {}, el("thead", {}, el("tr", {}, el("th", { class: "pick" }, el("span", { class: "hidden-text" }, "chosen")), columns.map((column) => head(column, by, changed)))), bodies(data, places, columns, changed));
  byId("runs").replaceChildren(table, ...(rest > 0 ? [el("p", { class: "empty" }, `${rest} more: filter to see them.`)] : []), ...(places.length ? [] : [el("p", { class: "empty" }, "No run fits the filter.")]));
  byId("clear").disabled = state.chosen.length === 0;
  keepState();
}

function head(column, by, changed) {
  const sorted = column === by ? (state.down ? "descending" : "ascending") : null;
  const sort = () => {
    state.down = state.sort === column.key ? !state.down : Boolean(column.numeric);
    state.sort = column.key;
    changed("table");
    document.querySelector(`#runs [data-sort="${CSS.escape(column.key)}"]`)?.focus();
  };
  const arrow = sorted ? (state.down ? " ↓" : " ↑") : "";
  return el("th", { class: column.numeric ? "number" : null, "aria-sort": sorted, title: column.full },
    el("button", { type: "button", "data-sort": column.key, onclick: sort }, column.title + arrow));
}

function bodies(data, places, columns, changed) {
  if (!state.group) return [el("tbody", {}, places.map((place) => row(data, place, columns, changed)))];
  const values = state.group.startsWith("p:") ? data.params[state.group.slice(2)] : data.runs.map((run) => run[state.group]);
  const groups = new Map();
  for (const place of places) {
    const name = String(values?.[place] ?? "") || "none";
    groups.set(name, [...(groups.get(name) || []), place]);
  }
  return [...groups].map(([name, members]) => el("tbody", {}, groupRow(name, members, data, columns), members.map((place) => row(data, place, columns, changed))));
}

function groupRow(name, members, data, columns) {
  const fixed = columns.filter((column) => !column.medians).length;
  const medians = columns.filter((column) => column.medians).map((column) => {
    const found = members.map((place) => column.value(data.runs[place], place)).filter((value) => typeof value === "number").sort((a, b) => a - b);
    const middle = found.length ? (found[Math.floor((found.length - 1) / 2)] + found[Math.ceil((found.length - 1) / 2)]) / 2 : null;
    return el("td", { class: "number", title: "median of the group" }, number(middle));
  });
  const rest = columns.filter((column) => column.key.includes(":") && !column.medians).length;
  return el("tr", { class: "group" }, el("th", { colspan: 1 + fixed - rest, scope: "rowgroup" }, name, el("span", { class: "count" }, ` ${members.length} `), el("span", { class: "faint" }, "medians")), columns.filter((column) => column.key.includes(":")).map((column) => (column.medians ? medians.shift() : el("td", {}))));
}

function row(data, place, columns, changed) {
  const run = data.runs[place];
  const chosen = state.chosen.indexOf(run.id);
  const choose = (event) => {
    state.chosen = event.target.checked ? [...state.chosen, run.id].slice(-MOST_CHOSEN) : state.chosen.filter((id) => id !== run.id);
    changed("chosen");
    document.querySelector(`#runs [data-run="${run.id}"]`)?.focus();
  };
  const box = el("input", { type: "checkbox", "data-run": run.id, checked: chosen >= 0, "aria-label": `Choose ${run.name}`, onchange: choose });
  if (chosen >= 0) box.style.accentColor = look(chosen).colour;
  const cells = columns.map((column) => el("td", { class: column.numeric ? "number" : null }, column.cell ? column.cell(run) : (column.text || column.value)(run, place) ?? ""));
  const pressed = (event) => { if (event.target.closest("input, a, button") === null && !String(getSelection())) box.click(); };
  return el("tr", { class: chosen >= 0 ? "on" : null, onclick: pressed }, el("td", { class: "pick" }, box), cells);
}

function moveWithArrows(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.type !== "checkbox") return;
  const boxes = [...byId("runs").querySelectorAll("input[type=checkbox]")];
  const next = boxes[boxes.indexOf(event.target) + step];
  if (next) { event.preventDefault(); next.focus(); }
}

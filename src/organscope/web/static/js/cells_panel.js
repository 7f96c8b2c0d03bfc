// Cells in numbers: the chosen one, filters, distributions, the table.
import { read, readNumber, write } from "./address.js";
import { attempt, post } from "./api.js";
import { CellTable, inOrder, text } from "./cell_table.js";
import { byId, h, select, show, toast } from "./dom.js";
import { whole } from "./format.js";
import { drawHistogram, drawScatter } from "./plots.js";

const RANGES = [["area", "Area", ["area_um2", "area_px"]], ["probability", "Probability", ["probability"]]];

export class CellsPanel {
  constructor(box, cells, details, hooks) {
    Object.assign(this, { cells, details, hooks, selected: -1 });
    this.card = byId("cell-card");
    this.count = h("p", { class: "faint num", id: "cell-count" });
    this.histogram = h("canvas", { class: "plot", id: "histogram", role: "img", "aria-label": "Histogram; drag to filter" });
    this.scatter = h("canvas", { class: "plot tall", id: "scatter", role: "img", "aria-label": "Scatter plot; click for a cell" });
    this.table = new CellTable(cells, (row) => hooks.pick(row, true));
    box.replaceChildren(h("h3", {}, "Show only"), this.makeFilters(), this.count, this.table.element, this.makePlotHead("Distribution", ["histogram"]), this.histogram, this.makePlotHead("One against another", ["across", "up"]), this.scatter);
    this.listen();
    this.filter();
  }

  makeFilters() {
    const rows = RANGES.map(([name, label, columns]) => {
      const column = columns.map((wanted) => this.cells.column(wanted)).find(Boolean);
      if (!column) return null;
      const unit = column.unit ? `${label}, ${column.unit}` : label;
      return [h("span", {}, unit), ...["low", "high"].map((end) => this.makeLimit(name, column.name, end, unit))];
    });
    const organ = this.cells.column("organ");
    if (organ) rows.push([h("span", {}, "Organ"), select([["", "all"], ...organ.categories.map((name) => [name, name])], read("organ"), (value) => this.change({ organ: value }), { class: "wide", id: "filter-organ", "aria-label": "Organ of the cell" })]);
    rows.push([h("button", { type: "button", class: "small wide", onclick: () => this.clear() }, "Show all cells")]);
    return (this.filters = h("div", { class: "filters" }, rows.flat()));
  }

  makeLimit(name, column, end, unit) {
    const key = `${name}_${end}`;
    const step = name === "probability" ? 0.01 : "any";
    const input = h("input", { type: "number", step, id: `filter-${key}`, "data-column": column, "data-end": end, value: read(key), placeholder: end === "low" ? "from" : "to", "aria-label": `${unit} ${end === "low" ? "from" : "to"}` });
    input.addEventListener("input", () => this.change({ [key]: input.value }));
    return input;
  }

  makePlotHead(title, names) {
    const measures = this.cells.measures();
    const standard = { histogram: ["area_um2", "area_px"], across: ["area_um2", "area_px"], up: ["probability", "solidity"] };
    const menus = names.map((name) => {
      const chosen = [read(name), ...standard[name]].find((wanted) => this.cells.column(wanted));
      this[`${name}_column`] = chosen;
      return select(measures.map((column) => [column.name, column.unit ? `${column.label}, ${column.unit}` : column.label]), chosen, (value) => {
        this[`${name}_column`] = value;
        write({ [name]: value });
        this.drawPlots();
      }, { id: `plot-${name}`, "aria-label": `${title}: ${name}` });
    });
    return h("div", { class: "plot-head" }, h("h3", {}, title), menus);
  }

  change(values) {
    write(values);
    this.filter();
  }

  clear() {
    for (const input of this.filters.querySelectorAll("input, select")) input.value = "";
    write({ area_low: "", area_high: "", probability_low: "", probability_high: "", organ: "", measure: "", measure_low: "", measure_high: "" });
    this.filter();
  }

  filter() {
    const filters = [...this.filters.querySelectorAll("input")].filter((input) => input.value !== "").map((input) => ({ name: input.dataset.column, [input.dataset.end]: Number(input.value) }));
    if (read("organ")) filters.push({ name: "organ", category: read("organ") });
    if (read("measure")) filters.push({ name: read("measure"), low: readNumber("measure_low", -Infinity), high: readNumber("measure_high", Infinity) });
    this.cells.filter(filters);
    this.count.textContent = this.cells.n_shown === this.cells.n ? `${whole(this.cells.n)} cells` : `${whole(this.cells.n_shown)} of ${whole(this.cells.n)} cells`;
    this.table.refresh();
    this.drawPlots();
    this.hooks.changed();
  }

  drawPlots() {
    if (!this.histogram.clientWidth) return;
    this.histogram_scale = drawHistogram(this.histogram, this.cells, this.cells.column(this.histogram_column));
    this.scatter_scale = drawScatter(this.scatter, this.cells, this.cells.column(this.across_column), this.cells.column(this.up_column), this.hooks.colours());
  }

  listen() {
    let from = null;
    this.histogram.addEventListener("pointerdown", (event) => (from = event.offsetX));
    this.histogram.addEventListener("pointerup", (event) => {
      if (from === null || Math.abs(event.offsetX - from) < 5) return;
      const ends = [from, event.offsetX].map((x) => this.histogram_scale.toValue(x)).sort((a, b) => a - b);
      from = null;
      this.change({ measure: this.histogram_column, measure_low: ends[0].toPrecision(4), measure_high: ends[1].toPrecision(4) });
    });
    this.scatter.addEventListener("click", (event) => {
      const row = this.scatter_scale.nearest(event.offsetX, event.offsetY);
      if (row >= 0) this.hooks.pick(row, true);
    });
    addEventListener("themechange", () => this.drawPlots());
    addEventListener("resize", () => this.drawPlots());
  }

  select(row) {
    this.selected = row;
    this.table.select(row);
    show(this.card, row >= 0);
    if (row < 0) return;
    const { cells } = this;
    const facts = inOrder(cells).filter((column) => column.name !== "id").flatMap((column) => [h("dt", {}, column.unit ? `${column.label}, ${column.unit}` : column.label), h("dd", { class: "num" }, text(column, row))]);
    const is_changed = cells.deleted[row] || cells.marked[row];
    const acts = is_changed ? [["restore_cell", "Take back"]] : [["delete_cell", "No cell"], ["mark_cell", "Wrong outline"]];
    this.card.replaceChildren(
      h("header", {}, h("strong", {}, `Cell ${cells.id[row]}`), h("button", { type: "button", class: "quiet small", "aria-label": "Close", onclick: () => this.hooks.pick(-1) }, "✕")),
      h("div", { class: "buttons" }, cells.deleted[row] ? h("span", { class: "tag doubt" }, "deleted") : null, cells.marked[row] ? h("span", { class: "tag doubt" }, "wrong outline") : null,
        acts.map(([action, words]) => h("button", { type: "button", class: "small", "data-action": action, onclick: () => this.correct(action, row) }, words))),
      h("dl", { class: "facts" }, facts));
  }

  async correct(action, row) {
    await attempt(async () => {
      const answer = await post(`/api/images/${this.details.image.id}/corrections`, { action, cells: [this.cells.id[row]] });
      this.hooks.corrected(answer.now);
      toast({ delete_cell: "Noted: no cell.", mark_cell: "Noted: wrong outline.", restore_cell: "Taken back." }[action]);
      this.select(row);
    });
  }
}

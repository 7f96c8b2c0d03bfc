// Own kinds of cells: name a kind, click some cells of it, and all others follow.
import { read } from "./address.js";
import { attempt, get, getBytes, post } from "./api.js";
import { decodeColumns } from "./cells_data.js";
import { colouring, NOT_SURE } from "./colours.js";
import { h, show, toast } from "./dom.js";
import { duration, percent, plural, whole } from "./format.js";

const BUSY_MS = 2000;
const HELP = "Name a kind of cell, choose it, and click cells of it on the image. Once two kinds have cells, all others follow, here and in the other images of the study.";
const SHORT = "The keys 1 to 9 give the chosen cell a name too.";

// `hooks` has `said`, `pick(row, is_shown)`, `selected()`, `changed()` and `colourBy(name)`.
export class KindsPanel {
  constructor(box, cells, details, hooks) {
    Object.assign(this, { cells, details, hooks, chosen: "", header: { names: [], asked: [], right: null }, own: [], asks: 0 });
    this.input = h("input", { id: "kind-name", maxlength: 60, placeholder: "lymphocyte", "aria-label": "Name of a kind of cell" });
    const form = h("form", { class: "kind-form" }, this.input, h("button", { id: "add-kind" }, "Add kind"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(this.input.value.trim());
    });
    this.list = h("ul", { class: "plain kinds", id: "kinds" });
    this.facts = h("div", { class: "faint", id: "kind-facts", "aria-live": "polite" });
    this.asked = h("div", { id: "kind-asked" });
    this.saved = h("div", { id: "kind-bundle" });
    box.replaceChildren(h("h2", {}, "Own kinds of cells"), h("p", { class: "faint" }, HELP), form, this.list, h("p", { class: "faint" }, SHORT), this.facts, this.asked, this.saved);
    addEventListener("keydown", (event) => this.key(event));
    this.draw();
    this.known = JSON.stringify(details.corrections.kinds);
    this.refresh(true);
  }

  get names() {
    return [...new Set([...this.header.names, ...this.own])];
  }

  add(name) {
    if (!name) return;
    if (name === NOT_SURE) return toast(`Expected a name of your own, found “${NOT_SURE}”, which is what cells are called that the model cannot tell.`, true);
    if (!this.names.includes(name)) this.own.push(name);
    this.input.value = "";
    return this.choose(name);
  }

  choose(name) {
    this.chosen = name;
    this.draw();
  }

  // A click on a cell while a kind is chosen; true where it was taken.
  name(row, kind = this.chosen) {
    if (!kind || row < 0 || this.cells.deleted[row]) return false;
    const id = this.cells.id[row];
    const is_so = this.details.corrections.kinds[id] === kind;
    this.hooks.said.say("corrections", is_so ? { action: "unname_cell", cells: [id] } : { action: "name_cell", cells: [id], organ: kind }, is_so ? `Cell ${id} has no name.` : `Cell ${id}: ${kind}.`);
    return true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "Escape" && this.chosen) this.choose("");
    const kind = this.names[Number(event.key) - 1];
    if (kind) this.name(this.hooks.selected(), kind);
  }

  corrected(kinds) {
    const now = JSON.stringify(kinds);
    if (now !== this.known) this.refresh();
    this.known = now;
  }

  // Ask which kind each cell is; answers that come too late are dropped.
  async refresh(is_first = false) {
    const mine = ++this.asks;
    const buffer = await attempt(() => getBytes(`/api/images/${this.details.image.id}/kinds`));
    if (!buffer || mine !== this.asks) return;
    const found = decodeColumns(buffer);
    this.header = found.header;
    if (is_first && !found.header.names.length) return this.draw();
    const is_new = !this.cells.column("kind");
    this.cells.setKinds(found);
    // At first the address says what is shown; kinds that come with a click are shown at once.
    if (is_new) this.hooks.colourBy(is_first ? read("colour") : "kind");
    this.hooks.changed();
    return this.draw();
  }

  draw() {
    const column = this.cells.column("kind");
    const legend = column ? colouring(this.cells, "kind").legend.entries : [];
    const named = Object.values(this.details.corrections.kinds);
    this.list.replaceChildren(...this.names.map((name, place) => {
      const entry = legend.find((one) => one.text === name);
      const counts = `${named.filter((one) => one === name).length} named here, ${whole(entry?.n ?? 0)} in all`;
      return h("li", {}, h("button", { type: "button", "data-kind": name, "aria-pressed": this.chosen === name, onclick: () => this.choose(this.chosen === name ? "" : name) },
        h("i", { style: { background: entry?.colour ?? "transparent" } }), `${place + 1}. ${name}`, h("span", { class: "n num" }, counts)));
    }));
    this.drawFacts(legend);
    if (!this.is_asked) this.followLesson();
    this.is_asked = true;
  }

  // A bundle of the named cells, which commands and other studies can use; taught in the background.
  async followLesson(path = "", body = undefined) {
    clearTimeout(this.timer);
    const address = `/api/studies/${this.details.image.study}/lessons${path}`;
    const found = await attempt(() => (path || body ? post(address, body) : get(address)));
    const lesson = found?.find((one) => one.subject === "cells");
    const is_busy = lesson && ["queued", "running"].includes(lesson.state);
    if (is_busy) this.timer = setTimeout(() => this.followLesson(), BUSY_MS);
    this.drawLesson(lesson, is_busy);
  }

  drawLesson(lesson, is_busy) {
    const act = is_busy ? h("button", { type: "button", class: "small", id: "stop-kinds", onclick: () => this.followLesson("/stop") }, "Stop") : h("button", { type: "button", class: "small", id: "save-kinds", onclick: () => this.followLesson("", { subject: "cells", name: "Own kinds of cells" }) }, "Save as a bundle");
    this.saved.replaceChildren(h("h2", {}, "For other images"), h("p", { class: "faint" }, "A bundle learns the named cells of this study, five of each kind or more, by their look and surroundings: for organscope segment --cell-kinds."),
      lesson ? this.lessonWords(lesson, is_busy) : "", h("p", { class: "buttons" }, act, lesson?.state === "done" ? h("a", { class: "button small", href: `/api/bundles/${lesson.bundle}/bundle.zip`, download: true }, "Take the bundle") : null));
  }

  lessonWords(lesson, is_busy) {
    if (is_busy) return h("p", { role: "status" }, lesson.state === "queued" ? "Waits for another lesson." : `Teaching, since ${duration(lesson.seconds)}.`);
    if (lesson.state !== "done") return h("p", { class: "reason" }, lesson.message || "The lesson was stopped.");
    const score = lesson.result.scores.find((row) => row.metric === "accuracy");
    return h("p", {}, h("strong", {}, `${percent(score.value)} right`), ` on cells that the answering model had not seen. ${lesson.result.notes.join(" ")}`);
  }

  drawFacts(legend) {
    const { names, asked, right } = this.header;
    const unsure = legend.find((one) => one.text === NOT_SURE)?.n ?? 0;
    const lines = [];
    if (this.chosen) lines.push(h("p", { class: "reason" }, `Click cells: each becomes “${this.chosen}”; a second click takes that back. Escape ends this.`));
    if (names.length > 1) lines.push(h("p", {}, `${plural(unsure, "cell")} here ${unsure === 1 ? "is" : "are"} not sure: no kind has a probability of 70 %.`));
    if (right) lines.push(h("p", {}, `Of ${plural(right[1], "named cell")}, ${whole(right[0])} are named right by a model that did not see them.`));
    else if (names.length > 1) lines.push(h("p", {}, "With five cells of each kind, it is said here how often they are named right."));
    this.facts.replaceChildren(...lines);
    show(this.asked, asked.length > 0);
    this.asked.replaceChildren(h("h2", {}, "Most useful to name next"), h("div", { class: "buttons" }, asked.map((id) => h("button", { type: "button", class: "small", "data-cell": id, onclick: () => this.hooks.pick(this.cells.row_of.get(id) ?? -1, true) }, `Cell ${id}`))));
  }
}

// Teach own organs from the images of a study that have a name, and see what the result can be trusted with.
import { attempt, get, post } from "./api.js";
import { runAgain } from "./again.js";
import { h, show } from "./dom.js";
import { duration, percent, plural } from "./format.js";

const BUSY_MS = 2000;
const FEWEST = 2;

export class Teaching {
  constructor(box, study) {
    Object.assign(this, { box, study, rows: [], lessons: [], name: "" });
    this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    const found = await attempt(() => get(`/api/studies/${this.study}/lessons`));
    if (!found) return;
    this.lessons = found.filter((lesson) => lesson.subject === "organs");
    this.draw();
    if (found.some((lesson) => ["queued", "running"].includes(lesson.state))) this.timer = setTimeout(() => this.refresh(), BUSY_MS);
  }

  // The images of the study as they are now.
  update(rows, name) {
    Object.assign(this, { rows, name });
    this.draw();
  }

  draw() {
    const counts = new Map();
    for (const { corrections } of this.rows) if (corrections.organ) counts.set(corrections.organ, (counts.get(corrections.organ) ?? 0) + 1);
    const named = [...counts].sort((a, b) => b[1] - a[1]);
    const latest = this.lessons[0];
    show(this.box, named.length > 0 || Boolean(latest));
    const is_busy = latest && ["queued", "running"].includes(latest.state);
    const can_teach = named.length > 1 && named.every(([, n]) => n >= FEWEST);
    const words = named.length ? `Named so far: ${named.map(([organ, n]) => `${organ} (${n})`).join(", ")}.` : "No image of this study has a name.";
    const hint = can_teach ? "A model learns these names in minutes. Images of one folder, such as a patient, are left out together when it is tried." : `It takes two names with ${FEWEST} images each; a promise takes dozens.`;
    this.box.replaceChildren(h("div", { class: "panel-head" }, h("h2", {}, "Teach your own organs"), is_busy ? h("button", { type: "button", class: "small", id: "stop-teaching", onclick: () => this.ask("/stop") }, "Stop") : h("button", { type: "button", id: "teach", disabled: !can_teach, onclick: () => this.ask("") }, "Teach")),
      h("p", { class: "faint" }, `${words} ${hint}`), latest ? this.drawLesson(latest) : "");
  }

  async ask(what) {
    const found = await attempt(() => post(`/api/studies/${this.study}/lessons${what}`, what ? undefined : {}));
    if (found) this.refresh();
  }

  drawLesson(lesson) {
    if (lesson.state === "failed") return h("p", { class: "reason" }, lesson.message);
    if (lesson.state === "cancelled") return h("p", { class: "faint" }, "The last lesson was stopped.");
    if (lesson.state !== "done") return h("p", { role: "status" }, lesson.state === "queued" ? "Waits for another lesson." : `Teaching, since ${duration(lesson.seconds)}.`);
    const { scores, classes, confusions, notes } = lesson.result;
    const score = scores.find((row) => row.metric === "accuracy");
    const interval = score.low === null ? "" : ` (95 % interval ${percent(score.low)} to ${percent(score.high)})`;
    const cells = (row) => [row.label, row.images, row.groups, percent(row.recall), row.promised ? percent(row.promised) : "nothing", row.more_images || ""];
    return h("div", { id: "taught" },
      h("p", {}, h("strong", {}, `${percent(score.value)} right`), ` on images whose folder the answering model had not seen${interval}; color alone: ${percent(score.baseline)}.`),
      h("div", { class: "wide-table", tabindex: 0, role: "region", "aria-label": "What was learned of each name" }, h("table", {}, h("thead", {}, h("tr", {}, ["Name", "Images", "Folders", "Found", "Can be promised", "More images for 95 %"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, classes.map((row) => h("tr", {}, cells(row).map((cell) => h("td", { class: "num" }, String(cell)))))))),
      confusions.length ? h("p", {}, `Taken for another: ${confusions.map((row) => `${plural(row.images, "image")} of ${row.label} named ${row.answered}`).join("; ")}.`) : h("p", {}, "No image was taken for another."),
      notes.map((note) => h("p", { class: "faint" }, note)),
      h("p", { class: "buttons" }, h("button", { type: "button", id: "use-taught", onclick: () => runAgain(this.study, this.name, [], "all images, with what was taught", [lesson.bundle]) }, "Run this study again with it"), h("a", { class: "button", href: `/api/bundles/${lesson.bundle}/bundle.zip`, download: true }, "Take the bundle")));
  }
}

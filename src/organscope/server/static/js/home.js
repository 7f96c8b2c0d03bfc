// The first page: drop images, follow the queue, find studies again.
import { attempt, get, post } from "./api.js";
import { byId, facts, h, show, toast } from "./dom.js";
import { droppedFiles } from "./dropping.js";
import { day, duration, optionsInWords, plural, timeLeft } from "./format.js";
import { makeOptions } from "./options.js";
import { chooseSlides } from "./slides.js";
import { makeStudy, nameOf, stopUploading, takeOptions, upload } from "./uploading.js";

const BUSY_MS = 700;
const IDLE_MS = 5000;
const SHOWN = 40;
const jobs = new Map();
let timer = 0;

const fields = makeOptions(byId("option-fields"), "", ["name", "pixel-size", "channel", "page", "z", "t", "series", "project", "diameter", "recall", "measures"]);

// What was given for this drop; null, with a sentence, where it makes no sense.
function given() {
  try {
    return takeOptions(fields);
  } catch (error) {
    toast(error.message, true);
    return null;
  }
}

async function take(files, options = given()) {
  if (!options) return;
  const wanted = files.filter((file) => !file.name.startsWith("."));
  if (!wanted.length) return;
  const limit = facts().images_a_study;
  if (wanted.length > limit) {
    toast(`Expected at most ${plural(limit, "image")} in a study, found ${plural(wanted.length, "file")}. Drop fewer, or use "organscope analyze" on the folder.`, true);
    return;
  }
  await attempt(async () => {
    const study = await makeStudy(options, studyName(wanted));
    await upload(wanted, study, follow);
    follow();
    const images = (await get(`/api/studies/${study.id}`)).rows;
    if (!images.length) await fetch(`/api/studies/${study.id}`, { method: "DELETE" });
    follow();
  });
}

function studyName(files) {
  const first = nameOf(files[0]);
  if (first.includes("/")) return first.split("/")[0].slice(0, 120);
  const name = files.length === 1 ? first.replace(/\.[^.]*$/, "") : plural(files.length, "image");
  return `${name}, ${new Date().toLocaleDateString("en-GB", { day: "numeric", month: "short" })}`.slice(0, 120);
}

async function follow() {
  clearTimeout(timer);
  try {
    const [queue, studies] = await Promise.all([get("/api/queue"), get("/api/studies")]);
    drawQueue(queue);
    drawStudies(studies);
    timer = setTimeout(follow, queue.images.some(isWaiting) ? BUSY_MS : IDLE_MS);
  } catch {
    timer = setTimeout(follow, IDLE_MS);
  }
}

const isWaiting = (image) => image.state === "queued" || image.state === "running";

function drawQueue(queue) {
  const images = queue.images.slice(0, SHOWN);
  show(byId("queue"), images.length > 0);
  const waiting = queue.images.filter(isWaiting);
  const left = Math.max(0, ...waiting.map((image) => image.seconds_left ?? 0));
  show(byId("cancel-all"), waiting.length > 1);
  byId("queue-title").textContent = waiting.length ? `In the queue: ${plural(waiting.length, "image")}, ${timeLeft(left)}` : "Just finished";
  for (const [id, row] of jobs) {
    if (!images.some((image) => image.id === id)) {
      row.element.remove();
      jobs.delete(id);
    }
  }
  images.forEach((image, place) => {
    const row = jobs.get(image.id) ?? makeJob(image);
    jobs.set(image.id, row);
    row.update(image);
    const list = byId("queue-list");
    if (list.children[place] !== row.element) list.insertBefore(row.element, list.children[place] ?? null);
  });
}

// A row lives as long as its image is in the list, so that the focus stays where it is.
function makeJob(image) {
  const name = h("a", { class: "name", href: `/images/${image.id}` }, image.name);
  const state = h("span", { class: "faint num" });
  const act = h("button", { class: "small", type: "button" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Analysis of ${image.name}` });
  const message = h("p", { class: "message reason" });
  let current = image;
  act.addEventListener("click", () => attempt(async () => {
    await post(`/api/images/${image.id}/${isWaiting(current) ? "cancel" : "retry"}`);
    follow();
  }));
  const update = (latest) => {
    current = latest;
    state.textContent = stateText(latest);
    act.textContent = isWaiting(latest) ? "Cancel" : "Try again";
    show(act, latest.state !== "done");
    act.setAttribute("aria-label", `${act.textContent}: ${latest.name}`);
    show(bar, latest.state === "running");
    bar.value = latest.fraction;
    show(message, latest.state === "failed");
    message.textContent = latest.message;
  };
  return { element: h("li", { class: "job" }, name, state, act, bar, message), update };
}

function stateText(image) {
  if (image.state === "queued") return `waiting, ${timeLeft(image.seconds_left)}`;
  if (image.state === "running") return `${image.stage}, ${timeLeft(image.seconds_left)}`;
  if (image.state === "done") return `done in ${duration(image.seconds)}, ${plural(image.n_cells, "cell")}`;
  return image.state;
}

function drawStudies(studies) {
  if (!studies.length) {
    byId("studies").replaceChildren(h("p", { class: "empty" }, "None yet. What you drop above is kept here, also over a restart."));
    return;
  }
  byId("studies").replaceChildren(...studies.map((study) => h("a", { class: "card", href: `/studies/${study.id}` },
    h("strong", {}, study.name),
    h("span", { class: "faint" }, day(study.created)),
    h("div", { class: "tags" },
      h("span", { class: "tag" }, plural(study.n_images, "image")),
      optionsInWords(study) ? h("span", { class: "tag" }, optionsInWords(study)) : null,
      study.n_waiting ? h("span", { class: "tag accent" }, `${study.n_waiting} waiting`) : null,
      study.n_failed ? h("span", { class: "tag doubt" }, `${study.n_failed} failed`) : null,
      study.n_images && study.n_done === study.n_images ? h("span", { class: "tag good" }, "done") : null))));
}

// What is behind the answers: each model, what it was measured at, and the organs that it knows.
async function drawModels() {
  const bundles = (await get("/api/bundles")).filter((bundle) => bundle.used);
  byId("models-list").replaceChildren(...bundles.flatMap((bundle) => [
    h("p", {}, h("strong", {}, `${bundle.name} ${bundle.version}`), ` ${bundle.summary}`),
    bundle.classes.length > 1 ? h("p", { class: "organs" }, `Knows ${bundle.classes.join(", ")}. Anything else should be answered with “I don’t know”.`) : ""]));
}

function listen() {
  byId("options").addEventListener("toggle", () => attempt(() => fields.offerModels()), { once: true });
  byId("models").addEventListener("toggle", () => attempt(drawModels), { once: true });
  byId("stop-uploading").addEventListener("click", stopUploading);
  byId("cancel-all").addEventListener("click", () => confirm("Cancel all images that wait?") && attempt(async () => {
    await post("/api/queue/cancel");
    follow();
  }));
  const drop = byId("drop");
  byId("choose-files").addEventListener("click", () => byId("files").click());
  byId("choose-folder").addEventListener("click", () => byId("folder").click());
  byId("choose-slides")?.addEventListener("click", () => chooseSlides(follow, given));
  for (const id of ["files", "folder"]) {
    byId(id).addEventListener("change", (event) => {
      take([...event.target.files]);
      event.target.value = "";
    });
  }
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const options = given();
    take(await droppedFiles(event.dataTransfer), options);
  });
}

addEventListener("serverback", follow);
listen();
follow();

// Sends files one a request, a few at a time, and tries again where the server is busy: nothing is lost.
import { post } from "./api.js";
import { bytes, optionsInWords } from "./format.js";
import { byId, h, show, toast } from "./dom.js";

const AT_ONCE = 3;
const SHOWN = 60;

const stayAndWait = (event) => event.preventDefault();
const drops = new Set();

// Files that were not sent yet stay where they are; those that arrived are analyzed.
export function stopUploading() {
  for (const drop of drops) {
    drop.is_stopped = true;
    for (const sending of drop.under_way) sending.abort();
  }
}

// Several drops may be under way; each has a list, a study and options of its own.
export async function upload(files, study, on_arrived) {
  const drop = { is_stopped: false, under_way: new Set(), study: study.id };
  if (!drops.size) byId("upload-list").replaceChildren();
  drops.add(drop);
  addEventListener("beforeunload", stayAndWait);
  const rows = files.slice(0, SHOWN).map((file) => makeRow(file));
  const list = h("section", { "aria-label": `Files of ${study.name}` }, h("h3", {}, [study.name, optionsInWords(study)].filter(Boolean).join(" · ")), rows.map((row) => row.element), files.length > SHOWN ? h("p", { class: "faint" }, `and ${files.length - SHOWN} more`) : null);
  byId("upload-list").append(list);
  show(byId("uploads"), true);
  show(byId("stop-uploading"), true);
  let next = 0;
  const refused = [];
  const lane = async () => {
    while (next < files.length && !drop.is_stopped) {
      const place = next++;
      const row = rows[place] ?? makeRow(files[place]);
      try {
        const arrived = await send(files[place], drop, row);
        refused.push(...arrived.refused);
        row.element.remove();
      } catch (error) {
        if (!drop.is_stopped) refused.push({ name: nameOf(files[place]), reason: error.message });
        row.fail(error.message);
      }
      on_arrived();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  drops.delete(drop);
  if (!drops.size) removeEventListener("beforeunload", stayAndWait);
  show(byId("stop-uploading"), drops.size > 0);
  if (refused.length) toast(refused.length === 1 ? refused[0].reason : `${refused.length} files were refused. ${refused[0].reason}`, true);
  else if (!drop.is_stopped) list.remove();
  show(byId("uploads"), byId("upload-list").childElementCount > 0);
  return refused;
}

export const nameOf = (file) => file.path || file.webkitRelativePath || file.name;

async function send(file, drop, row) {
  for (let tries = 0; ; tries++) {
    try {
      return await sendOnce(file, drop, row);
    } catch (error) {
      if (error.status !== 503 || tries >= 30 || drop.is_stopped) throw error;
      row.say("The server is busy; waiting.");
      await new Promise((done) => setTimeout(done, 1000 * (error.retryAfter || 2)));
    }
  }
}

// XMLHttpRequest, because fetch does not tell how much was sent.
function sendOnce(file, drop, row) {
  return new Promise((done, fail) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", `/api/studies/${drop.study}/uploads?name=${encodeURIComponent(nameOf(file))}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.onprogress = (event) => row.advance(event.loaded / Math.max(event.total, 1));
    sending.onload = () => {
      const answer = parsed(sending.responseText);
      if (sending.status < 300) return done(answer);
      const error = new Error(answer.detail ?? `The server answered ${sending.status}.`);
      fail(Object.assign(error, { status: sending.status, retryAfter: Number(sending.getResponseHeader("Retry-After")) }));
    };
    drop.under_way.add(sending);
    sending.onloadend = () => drop.under_way.delete(sending);
    sending.onabort = () => fail(new Error("Stopped."));
    sending.onerror = () => fail(new Error(`${file.name} could not be sent: the server does not answer, or the file cannot be read.`));
    sending.send(file);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function makeRow(file) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
  const message = h("span", { class: "faint" }, bytes(file.size));
  const element = h("div", { class: "job" }, h("span", { class: "name" }, nameOf(file)), message, bar);
  return {
    element,
    advance: (fraction) => (bar.value = fraction),
    say: (text) => message.replaceChildren(text),
    fail: (text) => element.replaceChildren(h("span", { class: "name" }, nameOf(file)), h("p", { class: "message reason" }, text)),
  };
}

// What was given belongs to one drop: the fields are taken at once and left empty, so that the next drop does not get it.
export function takeOptions(options) {
  const taken = { ...options.values(), name: options.inputs.name.value.trim() };
  options.clear();
  return taken;
}

export const makeStudy = async (options, name) => post("/api/studies", { ...options, name: options.name || name });

// Sends files one a request, a few at a time, and tries again where the server is busy: nothing is lost.
import { post } from "./api.js";
import { bytes } from "./format.js";
import { byId, h, show, toast } from "./dom.js";

const AT_ONCE = 3;
const SHOWN = 60;

const stayAndWait = (event) => event.preventDefault();
const under_way = new Set();
let is_stopped = false;

// Files that were not sent yet stay where they are; those that arrived are analysed.
export function stopUploading() {
  is_stopped = true;
  for (const sending of under_way) sending.abort();
}

export async function upload(files, study, on_arrived) {
  is_stopped = false;
  addEventListener("beforeunload", stayAndWait);
  const rows = files.slice(0, SHOWN).map((file) => makeRow(file));
  byId("upload-list").replaceChildren(...rows.map((row) => row.element), files.length > SHOWN ? h("p", { class: "faint" }, `and ${files.length - SHOWN} more`) : "");
  show(byId("uploads"), true);
  let next = 0;
  const refused = [];
  const lane = async () => {
    while (next < files.length && !is_stopped) {
      const place = next++;
      const row = rows[place] ?? makeRow(files[place]);
      try {
        const arrived = await send(files[place], study, row);
        refused.push(...arrived.refused);
        row.element.remove();
      } catch (error) {
        if (!is_stopped) refused.push({ name: nameOf(files[place]), reason: error.message });
        row.fail(error.message);
      }
      on_arrived();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  removeEventListener("beforeunload", stayAndWait);
  if (refused.length) toast(refused.length === 1 ? refused[0].reason : `${refused.length} files were refused. ${refused[0].reason}`, true);
  else show(byId("uploads"), false);
  return refused;
}

export const nameOf = (file) => file.path || file.webkitRelativePath || file.name;

async function send(file, study, row) {
  for (let tries = 0; ; tries++) {
    try {
      return await sendOnce(file, study, row);
    } catch (error) {
      if (error.status !== 503 || tries >= 30 || is_stopped) throw error;
      row.say("The server is busy; waiting.");
      await new Promise((done) => setTimeout(done, 1000 * (error.retryAfter || 2)));
    }
  }
}

// XMLHttpRequest, because fetch does not tell how much was sent.
function sendOnce(file, study, row) {
  return new Promise((done, fail) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", `/api/studies/${study}/uploads?name=${encodeURIComponent(nameOf(file))}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.onprogress = (event) => row.advance(event.loaded / Math.max(event.total, 1));
    sending.onload = () => {
      const answer = parsed(sending.responseText);
      if (sending.status < 300) return done(answer);
      const error = new Error(answer.detail ?? `The server answered ${sending.status}.`);
      fail(Object.assign(error, { status: sending.status, retryAfter: Number(sending.getResponseHeader("Retry-After")) }));
    };
    under_way.add(sending);
    sending.onloadend = () => under_way.delete(sending);
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

export async function makeStudy(name) {
  const pixel = byId("pixel-size").value;
  const channel = byId("channel").value;
  return post("/api/studies", { name: byId("study-name").value.trim() || name, um_per_px: pixel ? Number(pixel) : null, channel: channel === "" ? null : Number(channel) });
}

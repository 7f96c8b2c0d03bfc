// Requests to the server; a refusal becomes an error whose message is the server's sentence.
import { h, toast } from "./dom.js";

const AWAY = "The server does not answer. What you said is kept; this page goes on by itself when the server is back.";
const LOOK_MS = 1500;
let banner = null;

export async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    waitForServer();
    throw Object.assign(new Error(AWAY), { is_away: true });
  }
  if (answer.status === 401) location.href = "/login";
  if (!answer.ok) {
    const text = await answer.text();
    const error = new Error(sentence(text, answer.status));
    error.status = answer.status;
    error.retryAfter = Number(answer.headers.get("Retry-After")) || 0;
    throw error;
  }
  return answer;
}

// Says that the server is away until it answers again, and then tells the page (`serverback`).
async function waitForServer() {
  if (banner) return;
  banner = h("div", { class: "away", role: "alert" }, AWAY);
  document.body.append(banner);
  for (;;) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    try {
      if ((await fetch("/api/health")).status < 500) break;
    } catch {
      // It is away still.
    }
  }
  banner.remove();
  banner = null;
  dispatchEvent(new Event("serverback"));
}

export const get = async (path) => (await request(path)).json();
export const getBytes = async (path) => (await request(path)).arrayBuffer();

export async function post(path, body) {
  const options = { method: "POST" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  return (await request(path, options)).json();
}

// For what a click starts: a refusal is shown, not lost.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    // That the server is away stands on the page already.
    if (!error.is_away) toast(error.message, true);
    return null;
  }
}

function sentence(text, status) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return `The server answered ${status}.`;
  }
}

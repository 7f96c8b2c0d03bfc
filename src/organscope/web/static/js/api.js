// Requests to the server; a refusal becomes an error whose message is the server's sentence.
import { toast } from "./dom.js";

export async function request(path, options = {}) {
  const answer = await fetch(path, options);
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
    toast(error.message, true);
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

// What the server is asked; a sentence of the server becomes the error.
let tag = "";

export async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `${answer.status} ${answer.statusText}`);
  return answer.json();
}

export async function post(path) {
  const answer = await fetch(path, { method: "POST" });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

// All runs, or null where nothing changed since the last time.
export async function overview() {
  const answer = await fetch("/api/overview", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (answer.status === 304) return null;
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  tag = answer.headers.get("etag") || "";
  return answer.json();
}

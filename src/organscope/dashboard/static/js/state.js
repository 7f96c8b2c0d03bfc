// What the reader chose, kept in the address so that it can be sent and comes back with the page.
const KEYS = ["view", "filter", "sort", "down", "group", "columns", "chosen", "metrics", "sweep", "log"];

export const state = { view: "runs", filter: "", sort: "started", down: true, group: "", columns: [], chosen: [], metrics: [], sweep: "", log: false };

export function readState() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const key of KEYS) {
    if (!words.has(key)) continue;
    const text = words.get(key);
    if (Array.isArray(state[key])) state[key] = text ? text.split(",") : [];
    else state[key] = typeof state[key] === "boolean" ? text === "1" : text;
  }
}

export function keepState() {
  const words = new URLSearchParams();
  for (const key of KEYS) {
    const value = state[key];
    const text = Array.isArray(value) ? value.join(",") : typeof value === "boolean" ? (value ? "1" : "0") : value;
    if (text !== "") words.set(key, text);
  }
  history.replaceState(null, "", `#${words}`);
}

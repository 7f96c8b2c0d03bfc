// What is looked at stands in the address, so that a link leads to the same view.
let waiting = 0;
const query = new URLSearchParams(location.search);

export const read = (name, otherwise = "") => query.get(name) ?? otherwise;

export function readNumber(name, otherwise = null) {
  const text = query.get(name);
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : otherwise;
}

export function write(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "" || value === false) query.delete(name);
    else query.set(name, value);
  }
  clearTimeout(waiting);
  waiting = setTimeout(flush, 150);
}

export function flush() {
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export const search = (names) => {
  const chosen = new URLSearchParams();
  for (const name of names) if (query.has(name)) chosen.set(name, query.get(name));
  return chosen.toString();
};

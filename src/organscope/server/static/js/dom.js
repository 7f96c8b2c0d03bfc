// Elements from a tag, attributes and children; text is always text, never markup.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);
export const facts = () => JSON.parse(document.body.dataset.facts);

export function show(element, is_shown) {
  element.hidden = !is_shown;
}

// A sentence in the corner, which goes by itself.
export function toast(sentence, is_problem = false) {
  const box = h("div", { class: is_problem ? "toast problem" : "toast" }, sentence);
  byId("toasts").append(box);
  setTimeout(() => box.remove(), is_problem ? 9000 : 4000);
}

export function select(options, chosen, on_change, attributes = {}) {
  const element = h("select", attributes, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  element.addEventListener("change", () => on_change(element.value));
  return element;
}

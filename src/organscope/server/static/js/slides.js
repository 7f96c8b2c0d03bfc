// Images that lie on the server, in folders that the operator allows.
import { attempt, get, post } from "./api.js";
import { byId, h, show } from "./dom.js";
import { makeStudy } from "./uploading.js";

const SHAPES = { folder: "M2 5h6l2 2h8v9H2z", image: "M3 3h14v14H3zM3 13l4-4 4 4 2-2 4 4" };

// Drawn, because not every machine has a font with such signs.
function icon(is_folder) {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", "0 0 20 20");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", is_folder ? SHAPES.folder : SHAPES.image);
  drawn.append(path);
  return h("span", { class: "kind", role: "img", "aria-label": is_folder ? "Folder" : "Image" }, drawn);
}

// `given` takes what was given for the drop.
export function chooseSlides(on_added, given) {
  byId("slides-go").onclick = () => byId("slides-typed").value.trim() && add(byId("slides-typed").value.trim(), on_added, given);
  byId("slides-typed").onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    byId("slides-go").click();
  };
  byId("slides").showModal();
  open("", on_added, given);
}

async function open(path, on_added, given) {
  const found = await attempt(() => get(`/api/folders?path=${encodeURIComponent(path)}`));
  if (!found) return;
  byId("slides-path").textContent = path || "Folders that the operator allows";
  const rows = found.entries.map((entry) => h("li", {}, h("button", { type: "button", onclick: () => (entry.is_folder ? open(entry.path, on_added, given) : add(entry.path, on_added, given)) }, icon(entry.is_folder), entry.name)));
  const above = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  if (path) rows.unshift(h("li", {}, h("button", { type: "button", onclick: () => open(above, on_added, given) }, "↑ Back")));
  byId("slides-list").replaceChildren(...(rows.length ? rows : [h("li", { class: "empty" }, "No images here.")]));
  const all = byId("slides-all");
  show(all, found.entries.some((entry) => !entry.is_folder));
  all.onclick = () => add(path, on_added, given);
}

async function add(path, on_added, given) {
  const options = given();
  if (!options) return;
  await attempt(async () => {
    const study = await makeStudy(options, path.split("/").pop());
    try {
      await post(`/api/studies/${study.id}/slides`, { path });
    } catch (error) {
      await fetch(`/api/studies/${study.id}`, { method: "DELETE" });
      throw error;
    }
    byId("slides").close();
    on_added();
  });
}

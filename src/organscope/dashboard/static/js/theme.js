// Light or dark: what the system says, unless the reader chose.
const root = document.documentElement;

export const theme = () => root.dataset.theme;

export function startTheme(button, changed) {
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    localStorage.setItem("organscope-theme", root.dataset.theme);
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    if (localStorage.getItem("organscope-theme")) return;
    root.dataset.theme = event.matches ? "dark" : "light";
    changed();
  });
}

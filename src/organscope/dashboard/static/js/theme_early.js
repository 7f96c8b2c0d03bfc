// Before the first paint, so that a dark page does not flash white.
const kept = localStorage.getItem("organscope-theme");
const dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = dark ? "dark" : "light";

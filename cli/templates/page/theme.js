// Light or dark: what the system says, unless the reader has chosen. `redraw` runs after a change.
const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const startTheme = (redraw) => {
  const button = document.getElementById("theme");
  // A page opened from a file may be refused its storage.
  const stored = (work) => { try { return work(localStorage); } catch { return null; } };
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `use ${isDark() ? "light" : "dark"} colors`);
  };
  const chosen = stored((storage) => storage.getItem("whence-theme"));
  if (chosen) document.documentElement.dataset.theme = chosen;
  button.onclick = () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    stored((storage) => storage.setItem("whence-theme", document.documentElement.dataset.theme));
    show();
    redraw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { show(); redraw(); });
  button.hidden = false;
  show();
};

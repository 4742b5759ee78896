// What every page can do with scripts: keys, the theme, dialogs, rows. Pages work without.
(() => {
  const root = document.documentElement;
  const typing = (target) => target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  // A ticket that came to somebody who has entered already has no use; it should not stay in the address either.
  if (/^#t=[\w-]{20,}$/.test(location.hash) && !document.getElementById("ticket")) history.replaceState(null, "", location.pathname + location.search);

  // ------------------------------------------------------------------------------------------------ theme
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const told = () => document.dispatchEvent(new CustomEvent("orchestra:theme"));
  function changeTheme() {
    const theme = isDark() ? "light" : "dark";
    root.dataset.theme = theme;
    try { localStorage.setItem("orchestra-theme", theme); } catch { /* for this page only, then */ }
    told();
  }
  dark.addEventListener("change", told);

  // ----------------------------------------------------------------------------------------------- clicks
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    if (target.closest("[data-theme-button]")) changeTheme();
    if (target.closest("[data-keys-button]")) document.getElementById("keys")?.showModal();
    const copy = target.closest("[data-copy]");
    if (copy) copyText(copy);
  });
  async function copyText(button) {
    const from = document.getElementById(button.dataset.copy);
    if (!from) return;
    try {
      await navigator.clipboard.writeText(from.textContent);
      say("Copied");
    } catch { say("The browser does not let this page copy"); }
  }

  // A word for readers of screens, and a moment's note for everybody else.
  function say(text) {
    let note = document.getElementById("note");
    if (!note) {
      note = document.createElement("div");
      note.id = "note";
      note.setAttribute("role", "status");
      document.body.append(note);
    }
    note.textContent = text;
    note.classList.add("shown");
    clearTimeout(say.timer);
    say.timer = setTimeout(() => note.classList.remove("shown"), 2500);
  }

  // -------------------------------------------------------------------------------------------- questions
  // <form data-sure="Revoke this key?"> asks first.
  document.addEventListener("submit", (event) => {
    const sure = event.target.dataset?.sure;
    if (sure && !confirm(sure)) event.preventDefault();
  });

  // ------------------------------------------------------------------------------------------------- keys
  let gone = 0; // when `g` was pressed
  function step(by) {
    const links = [...document.querySelectorAll("[data-row] a, a[data-row]")].filter((link) => link.matches(".row-link, [data-row]"));
    if (!links.length) return;
    const at = links.findIndex((link) => link === document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof Element)) return;
    if (event.key === "Escape" && event.target.matches("[data-find]")) event.target.blur();
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const { key } = event;
    if (performance.now() - gone < 1500) {
      gone = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
      if (link) { event.preventDefault(); link.click(); return; }
    }
    const find = document.querySelector("[data-find-here]") ?? document.querySelector("[data-find]");
    if (key === "g") gone = performance.now();
    else if (key === "/" && find) { event.preventDefault(); find.focus(); find.select(); }
    else if (key === "n") document.querySelector('[data-go="a"]')?.click();
    else if (key === "t") changeTheme();
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "?") document.getElementById("keys")?.showModal();
  });

  window.orchestra = Object.freeze({ say, isDark });
})();

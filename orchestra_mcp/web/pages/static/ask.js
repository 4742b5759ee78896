// The form of /ask: fields that grow, Ctrl+Enter, what depends on a choice, and one question for one press.
(() => {
  const form = document.getElementById("ask");
  if (!form) return;

  // Browsers without `field-sizing` (Firefox, older Safari) grow the fields here.
  if (!CSS.supports("field-sizing", "content")) {
    const grow = (field) => { field.style.height = "auto"; field.style.height = `${Math.min(field.scrollHeight + 2, 450)}px`; };
    form.addEventListener("input", (event) => { if (event.target.matches("[data-grows]")) grow(event.target); });
    form.querySelectorAll("[data-grows]").forEach((field) => { if (field.value) grow(field); });
  }

  function depends() {
    const project = form.elements.project;
    if (project instanceof HTMLSelectElement) form.querySelector("[data-folder]")?.classList.toggle("away", project.value !== "other");
    form.querySelector("[data-debate]")?.classList.toggle("away", form.elements.strategy.value !== "debate");
  }
  form.addEventListener("change", (event) => {
    depends();
    if (event.target.id === "project" && event.target.value === "other") document.getElementById("folder").focus();
    // What would happen is another thing now.
    if (!event.target.closest("#plan")) document.getElementById("plan").replaceChildren();
  });
  depends();

  const send = form.querySelector("[data-send]");
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(send); }
  });
  form.addEventListener("submit", () => {
    // After the browser has taken the form: a disabled button would not be in it.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => { for (const button of form.querySelectorAll("button")) button.disabled = false; depends(); });

  // What was asked to be shown is where whoever asked goes on.
  document.addEventListener("htmx:after:swap", () => {
    const heading = document.querySelector("#plan h2");
    if (!heading || heading === document.activeElement) return;
    heading.tabIndex = -1;
    heading.focus();
  });

  (document.querySelector("[data-faults]:not(p)") ?? form.querySelector("[aria-invalid=true]") ?? document.querySelector("[data-faults]"))?.focus();
})();

// The live view of a council: puts the parts that the server makes in their places, lets the clocks tick, and gives way
// to the verdict. What comes is the state, not its history, so that nothing is lost when the connection was.
(() => {
  const live = document.getElementById("live");
  if (!live || !window.EventSource) return;
  const CALM_MS = 6000; // between two things that a reader of screens is told
  const HIDDEN_MS = 5000; // a tab that nobody sees looks only so often: browsers have six connections for a host
  const title = document.title;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let zero = performance.now() - 1000 * Number(live.dataset.elapsed);
  let source, over = false, again = 0, lost = 0;

  // ------------------------------------------------------------------------------------------------- clocks
  const two = (number) => String(number).padStart(2, "0");
  function words(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  }
  function tick() {
    const elapsed = (performance.now() - zero) / 1000;
    for (const clock of live.querySelectorAll("[data-clock]")) {
      const text = words(elapsed - Number(clock.dataset.since));
      if (clock.textContent !== text) clock.textContent = text;
    }
  }
  function set(elapsed) {
    const now = performance.now() - 1000 * elapsed;
    if (Math.abs(now - zero) > 1500) zero = now; // a lag is no reason for clocks to jump
  }
  const ticking = setInterval(tick, 250);
  tick();

  // -------------------------------------------------------------------------------------------------- parts
  function put([box, id, version, html]) {
    const old = document.getElementById(id);
    if (old?.dataset.version === version) return;
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = made.content.firstElementChild;
    if (!fresh) return;
    if (old) {
      const at = old.querySelector(".scroll");
      const focused = at && at === document.activeElement;
      const left = at?.scrollLeft ?? 0;
      if (old.className !== fresh.className) fresh.classList.add("fresh");
      old.replaceWith(fresh);
      const scroll = fresh.querySelector(".scroll");
      if (scroll) scroll.scrollLeft = left;
      if (focused) scroll?.focus({ preventScroll: true });
    } else {
      fresh.classList.add("fresh");
      document.getElementById(box)?.append(fresh);
    }
  }

  // ------------------------------------------------------------------------------------------- what is said
  const voice = document.createElement("p");
  voice.className = "hidden";
  voice.id = "live-said";
  voice.setAttribute("role", "status");
  document.body.append(voice);
  let spoke = 0, waiting = 0;
  function say(text, now = false) {
    clearTimeout(waiting);
    const wait = now ? 0 : Math.max(0, spoke + CALM_MS - performance.now());
    waiting = setTimeout(() => {
      spoke = performance.now();
      if (voice.textContent !== text) voice.textContent = text;
    }, wait);
  }

  // --------------------------------------------------------------------------------------------- connection
  function take(event) {
    const told = JSON.parse(event.data);
    again = 0;
    missed(false);
    set(told.elapsed);
    told.parts.forEach(put);
    tick();
    if (event.type === "closed") {
      over = true;
      source.close();
      clearInterval(ticking);
      say(told.said, true);
      verdict();
      return;
    }
    say(told.said);
    document.title = told.answered ? `${told.answered} · ${title}` : title;
    if (document.hidden) rest();
  }
  function missed(is) {
    const note = document.getElementById("live-lost");
    if (is) lost ||= setTimeout(() => { note.hidden = false; }, 3000);
    else {
      clearTimeout(lost);
      lost = 0;
      note.hidden = true;
    }
  }
  function open() {
    if (over) return;
    source?.close();
    source = new EventSource(live.dataset.live);
    source.addEventListener("parts", take);
    source.addEventListener("closed", take);
    source.addEventListener("error", () => {
      missed(true);
      // It comes again by itself, unless the server has said no: then the page looks anew, ever less often.
      if (source.readyState === EventSource.CLOSED && !over) {
        again += 1;
        if (again > 3) location.reload();
        else setTimeout(open, 2000 * again);
      }
    });
  }
  let asleep = 0;
  function rest() {
    source.close();
    clearTimeout(asleep);
    asleep = setTimeout(open, HIDDEN_MS);
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || over) return;
    clearTimeout(asleep);
    open();
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();

  // ----------------------------------------------------------------------------------------------- the end
  async function verdict(tries = 0) {
    let page;
    try {
      const reply = await fetch(live.dataset.here, { cache: "no-store" });
      if (!reply.ok) throw new Error(String(reply.status));
      page = new DOMParser().parseFromString(await reply.text(), "text/html");
    } catch { page = null; }
    const fresh = page?.getElementById("main");
    if (!fresh || page.getElementById("live")) {
      if (tries < 8) setTimeout(() => verdict(tries + 1), 300 + 200 * tries);
      else location.reload();
      return;
    }
    await dress(page);
    const main = document.getElementById("main");
    const at = document.activeElement;
    const inside = !at || at === document.body || main.contains(at); // who is elsewhere, as in the search, stays there
    const swap = () => {
      main.replaceChildren(...document.adoptNode(fresh).childNodes);
      document.title = page.title;
      if (inside) main.focus({ preventScroll: true });
      window.htmx?.process(main);
      document.dispatchEvent(new CustomEvent("orchestra:shown"));
    };
    if (document.startViewTransition && !still.matches && !document.hidden) document.startViewTransition(swap);
    else swap();
  }
  // The styles and scripts of the page that comes, before it is shown.
  function dress(page) {
    const waits = [];
    for (const given of page.head.querySelectorAll("link[rel=stylesheet], script[src]")) {
      const name = given.hasAttribute("src") ? "src" : "href";
      const where = given.getAttribute(name);
      if (document.head.querySelector(`[${name}="${CSS.escape(where)}"]`)) continue;
      const copy = document.createElement(given.tagName);
      for (const { name: key, value } of given.attributes) copy.setAttribute(key, value);
      if (name === "href") waits.push(new Promise((done) => { copy.onload = copy.onerror = done; }));
      document.head.append(copy);
    }
    return Promise.race([Promise.all(waits), new Promise((done) => setTimeout(done, 1500))]);
  }

  // ------------------------------------------------------------------------------------------------ cancel
  live.querySelector("[data-cancel]")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, button = form.querySelector("button");
    button.disabled = true;
    button.lastChild.textContent = "Cancelling…";
    try {
      const reply = await fetch(form.action, { method: "POST", body: new URLSearchParams(), redirect: "manual" });
      if (reply.type !== "opaqueredirect" && !reply.ok) throw new Error(String(reply.status));
    } catch { form.submit(); }
  });
})();

// The plot of costs: reads its lines from `data-plot`, draws stacked bars or lines, and draws anew when the theme or the
// width changes. Also forms that send themselves when a choice changes (`data-auto`).
(() => {
  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select")) form.requestSubmit(form.querySelector("[data-usual]") ?? undefined);
    });
  }

  const element = document.querySelector("[data-plot]");
  if (!element || !window.uPlot) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const plain = new Intl.NumberFormat("en");
  const UNITS = {
    usd: (v) => (v === 0 ? "$0" : v < 0.0001 ? "<$0.0001" : `$${v.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: v < 1 ? 4 : 2 })}`),
    s: (v) => (v < 0.1 ? `${Math.round(v * 1000)} ms` : v < 60 ? `${v.toLocaleString("en", { maximumSignificantDigits: 2 })} s` : `${Math.floor(v / 60)} min ${Math.round(v % 60)} s`),
    count: (v) => (Math.abs(v) >= 10000 ? short.format(v) : plain.format(Math.round(v * 100) / 100)),
  };
  let read, shown;

  const pad = (number) => String(number).padStart(2, "0");
  function time(seconds) {
    const at = new Date(seconds * 1000);
    const day = `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}`;
    if (read.step === "month") return day;
    return `${day}-${pad(at.getUTCDate())}${read.step === "hour" ? ` ${pad(at.getUTCHours())}:00` : ""}`;
  }

  // Stacked: each line is drawn as the sum up to it, the highest first, so that the lower ones stand before it.
  function stacked(lines) {
    const sums = lines.map((line) => [...line.values]);
    for (let i = 1; i < sums.length; i++) sums[i] = sums[i].map((value, at) => (value ?? 0) + (sums[i - 1][at] ?? 0));
    return sums;
  }

  function draw() {
    shown?.destroy();
    element.replaceChildren();
    element.classList.toggle("nothing", !read.lines.length);
    if (!read.lines.length) {
      element.append(Object.assign(document.createElement("p"), { className: "muted", textContent: "There is nothing to draw in this time." }));
      return;
    }
    const unit = UNITS[read.unit];
    const ink = colour("--muted"), rule = colour("--line");
    const sums = read.stacked ? stacked(read.lines) : read.lines.map((line) => line.values);
    const order = read.lines.map((_, at) => at);
    if (read.stacked) order.reverse();
    const bars = uPlot.paths.bars({ size: [0.72, 46], radius: 0.08 });
    const series = order.map((at) => {
      const line = read.lines[at], own = colour(`--plot-${Math.min(at, 7) + 1}`);
      return {
        label: line.name, stroke: own, fill: read.stacked ? own : undefined, width: read.stacked ? 0 : 2, spanGaps: false,
        paths: read.stacked ? bars : uPlot.paths.linear(),
        points: { show: !read.stacked, size: 6, fill: own, stroke: own },
        value: (_u, _v, _s, index) => (index == null || line.values[index] == null ? "–" : unit(line.values[index])),
      };
    });
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: `12px ${colour("--sans")}` };
    const width = element.clientWidth;
    shown = new uPlot(
      {
        width, height: width < 560 ? 260 : 320, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        scales: { x: { time: true, range: read.stacked ? edges : undefined }, y: { range: (_u, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          { ...axis, grid: { show: false }, space: 70, values: (_u, splits, _a, _s, gap) => splits.map((at) => tick(at, gap)) },
          { ...axis, size: 64, values: (_u, splits) => splits.map(unit) },
        ],
        series: [{ label: "Time", value: (_u, at) => (at == null ? "–" : time(at)) }, ...series],
        cursor: { points: { show: !read.stacked }, drag: { x: false, y: false } },
        hooks: { setCursor: [(u) => element.classList.toggle("pointed", u.cursor.idx != null)] },
        legend: { markers: { width: 10 } },
      },
      [read.times, ...order.map((at) => sums[at])],
      element,
    );
  }

  // Half a step at both ends, so that the first and the last bar are whole.
  function edges(_u, low, high) {
    const { times } = read;
    const half = (times.length > 1 ? times[1] - times[0] : 86400) / 2;
    return [low - half, high + half];
  }

  function tick(at, gap) {
    const full = new Date(at * 1000);
    if (gap < 86400) return full.getUTCHours() === 0 ? `${pad(full.getUTCMonth() + 1)}-${pad(full.getUTCDate())}` : `${pad(full.getUTCHours())}:${pad(full.getUTCMinutes())}`;
    if (read.step === "month" || gap >= 28 * 86400) return `${full.getUTCFullYear()}-${pad(full.getUTCMonth() + 1)}`;
    return `${pad(full.getUTCMonth() + 1)}-${pad(full.getUTCDate())}`;
  }

  async function start() {
    try {
      const answer = await fetch(element.dataset.plot, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      read = await answer.json();
    } catch {
      element.classList.add("nothing");
      element.replaceChildren(Object.assign(document.createElement("p"), { className: "muted", textContent: "The figures could not be read; load the page again." }));
      return;
    }
    draw();
    element.dataset.drawn = read.lines.length;
    document.addEventListener("orchestra:theme", draw);
    let wide = element.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(element.clientWidth - wide) < 2) return;
      wide = element.clientWidth;
      requestAnimationFrame(draw);
    }).observe(element);
  }
  start();
})();

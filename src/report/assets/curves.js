const POINTS = 26;
const curves = { of: null, turn: 0, points: [] };

function curvesStale() {
  curves.of = null;
  if (!$("view-curves").hidden) drawCurves();
}

/** Precision, recall and F1 over one threshold, point by point so that the page stays alive. */
async function drawCurves() {
  const choose = $("curve-of");
  if (!choose.options.length) {
    meta.rule.numbers.forEach((n, i) => {
      if (n.what !== "step") choose.append(el("option", { value: i }, meta.sources[n.s].name + ", " + WHAT[n.what]));
    });
    const last = meta.rule.numbers.findIndex((n) => n.what === "high" || n.what === "threshold");
    if (last >= 0) choose.value = last;
    choose.addEventListener("change", () => { curves.of = null; drawCurves(); });
    drawSpread();
  }
  if (!data.labelled) return fill($("curve"), el("p", { class: "empty" }, "Without labels there is nothing to score. Give a column label_group."));
  if (!choose.options.length) return fill($("curve"), el("p", { class: "empty" }, "The rule has no threshold."));
  const n = Number(choose.value);
  if (curves.of === n) return;
  curves.of = n;
  const turn = ++curves.turn;
  const most = meta.sources[meta.rule.numbers[n].s].reach;
  const grid = Array.from({ length: POINTS }, (_, i) => (most * i) / (POINTS - 1));
  curves.points = [];
  // Coarse first, then what lies between.
  const order = grid.map((_, i) => i).sort((a, b) => (a % 5 ? 1 : 0) - (b % 5 ? 1 : 0) || a - b);
  for (const i of order) {
    const values = state.values.slice();
    values[n] = grid[i];
    const figures = score(cutter.cut(values), data.labelOf, data.sizes);
    curves.points.push({ x: grid[i], p: figures.precision, r: figures.recall, f: figures.f1 });
    curves.points.sort((a, b) => a.x - b.x);
    if (curves.points.length >= 2) lines(n, most, curves.points);
    await new Promise((go) => setTimeout(go));
    if (turn !== curves.turn) return;
  }
  $("curve").dataset.done = n;
}

function lines(n, most, points) {
  const [W, H, L, R, T, B] = [chartWidth(720), 300, 44, 70, 14, 40];
  const x = (v) => L + ((W - L - R) * v) / most, y = (v) => T + (H - T - B) * (1 - v);
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Precision, recall and F1 over the distance threshold" });
  for (let v = 0; v <= 1.001; v += 0.25) add(chart, [svg("line", { class: "axis", x1: L, x2: W - R, y1: y(v), y2: y(v) }), svg("text", { x: L - 8, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(2))]);
  for (let i = 0; i <= 5; i++) add(chart, [svg("text", { x: x((most * i) / 5), y: H - 20, "text-anchor": "middle" }, fixed(1 - (most * i) / 5, 2))]);
  add(chart, [svg("text", { x: (L + W - R) / 2, y: H - 3, "text-anchor": "middle" }, "similarity above; looser to the right")]);
  const end = points[points.length - 1];
  const names = [["p", "precision"], ["r", "recall"], ["f", "F1"]].map(([key, name]) => ({ key, name, at: y(end[key]) + 4 })).sort((a, b) => a.at - b.at);
  names.forEach((it, i) => { if (i && it.at < names[i - 1].at + 14) it.at = names[i - 1].at + 14; });
  for (const { key, name, at } of names) {
    const d = points.map((p, i) => (i ? "L" : "M") + x(p.x).toFixed(1) + " " + y(p[key]).toFixed(1)).join("");
    add(chart, [svg("path", { class: "line-" + key, d }), svg("text", { class: "name-" + key, x: x(end.x) + 8, y: at }, name)]);
  }
  const now = state.values[n];
  add(chart, [svg("line", { class: "now", x1: x(now), x2: x(now), y1: T, y2: H - B }), svg("text", { x: x(now) + 4, y: T + 10 }, "now")]);
  fill($("curve"), chart);
  const best = points.reduce((a, b) => (b.f > a.f ? b : a));
  fill($("curve-table"), el("table", {}, el("thead", {}, el("tr", {}, ["Similarity above", "Precision", "Recall", "F1", ""].map((h) => el("th", { class: "n", scope: "col" }, h)))),
    el("tbody", {}, points.map((p) => el("tr", {}, [fixed(1 - p.x, 3), fixed(p.p, 4), fixed(p.r, 4), fixed(p.f, 4), p === best ? "best" : ""].map((c) => el("td", { class: "n" }, c)))))));
}

/** How many neighbours lie at which similarity, of the same product and of others. */
function drawSpread() {
  $("spread-note").textContent = "Neighbours by their similarity" + (data.labelled ? ": filled bars are of the same product, outlined ones of another." : ".") + " Farther ones than the report keeps are left out.";
  const BINS = 30;
  fill($("spread"), meta.sources.map((source, s) => {
    const list = data.near[s], same = new Uint32Array(BINS), other = new Uint32Array(BINS);
    for (let i = 0; i < data.unable.length; i++) {
      for (let e = list.at[i]; e < list.at[i + 1]; e++) {
        const bin = Math.min(BINS - 1, Math.floor((list.d[e] / meta.scale / source.reach) * BINS));
        const equal = data.labelOf[i] !== NONE && data.labelOf[i] === data.labelOf[list.row[e]];
        (equal ? same : other)[bin]++;
      }
    }
    return el("div", { class: "scroll" }, el("h3", {}, source.name), list.row.length ? bins(same, other, source.reach) : el("p", { class: "soft small" }, "No two listings come near."));
  }));
}

function bins(same, other, reach) {
  const [W, H, L, B] = [chartWidth(720), 170, 44, 52];
  const most = Math.max(1, ...same, ...other);
  const chart = svg("svg", { class: "chart bars", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Histogram of similarities" });
  const wide = (W - L - 20) / same.length, high = (v) => ((H - B - 10) * v) / most;
  const bar = (value, at, kind, inset) => value && svg("rect", { class: kind, x: L + at * wide + inset, y: H - B - high(value), width: wide - 2 * inset, height: high(value) });
  for (let i = 0; i < same.length; i++) {
    const at = same.length - 1 - i;
    add(chart, data.labelled ? [bar(same[i], at, "same", 2), bar(other[i], at, "other", 1)] : [bar(same[i] + other[i], at, "all", 1)]);
  }
  add(chart, [svg("line", { class: "axis", x1: L, x2: W - 20, y1: H - B, y2: H - B }), svg("text", { x: L - 6, y: 16, "text-anchor": "end" }, count(most))]);
  add(chart, [svg("text", { x: (L + W - 20) / 2, y: H - 6, "text-anchor": "middle" }, "similarity; bars count neighbours")]);
  for (let i = 0; i <= 4; i++) add(chart, [svg("text", { x: L + ((W - L - 20) * i) / 4, y: H - B + 16, "text-anchor": "middle" }, fixed(1 - reach * (1 - i / 4), 2))]);
  return chart;
}
window.curvesStale = curvesStale;

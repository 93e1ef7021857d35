/** Bars of `[x, count]`, joined so that at most `most` stand side by side; with a table behind. */
function bars(pairs, { most = 40, label, of = "", name = String, tall = 170, full = false }) {
  if (!pairs.length) return el("p", { class: "soft small" }, "Nothing to count.");
  const low = pairs[0][0], high = pairs[pairs.length - 1][0];
  const width = Math.max(1, Math.ceil((high - low + 1) / most));
  const counts = new Array(Math.floor((high - low) / width) + 1).fill(0);
  for (const [x, n] of pairs) counts[Math.floor((x - low) / width)] += n;
  const [W, L, B, T] = [chartWidth(full ? 1100 : 520), 52, 38, 26], H = tall + B;
  // An even number, so that half of it is a count.
  const top = Math.ceil(Math.max(...counts) / 2) * 2, step = Math.min(56, (W - L - 12) / counts.length), y = (v) => H - B - ((H - B - T) * v) / top;
  const range = (i) => (width === 1 ? name(low + i) : name(low + i * width) + "–" + name(low + (i + 1) * width - 1));
  const chart = svg("svg", { class: full ? "chart full" : "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  for (const v of [0, top / 2, top]) add(chart, [svg("line", { class: "axis", x1: L, x2: W - 12, y1: y(v), y2: y(v) }), svg("text", { x: L - 6, y: y(v) + 4, "text-anchor": "end" }, count(Math.round(v)))]);
  counts.forEach((n, i) => n && add(chart, [svg("rect", { class: "bar-1", x: L + i * step + Math.min(1, step * .1), y: Math.min(y(n), H - B - 1), width: Math.max(1, step - Math.min(2, step * .2)), height: Math.max(1, H - B - y(n)), rx: 1 }, svg("title", {}, range(i) + ": " + count(n)))]));
  const every = Math.ceil(counts.length / (W < 450 ? 6 : full ? 20 : 11));
  for (let i = 0; i < counts.length; i += every) {
    add(chart, [svg("text", { x: L + (i + .5) * step, y: H - B + 16, "text-anchor": "middle" }, name(low + i * width))]);
  }
  add(chart, [svg("text", { x: (L + W) / 2, y: H - 4, "text-anchor": "middle" }, label), of && svg("text", { x: 4, y: 12 }, of)]);
  return el("div", {}, el("div", { class: "scroll" }, chart), tableOf(counts.map((n, i) => [range(i), n]).filter((r) => r[1]), label));
}

function tableOf(rows, label) {
  const box = el("div", { class: "scroll" });
  const made = el("details", { class: "small" }, el("summary", {}, "As a table"), box);
  made.addEventListener("toggle", () => {
    if (made.open && !box.hasChildNodes()) box.append(el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, label), el("th", { scope: "col", class: "n" }, "count"))), el("tbody", {}, rows.map(([x, n]) => el("tr", {}, el("td", {}, x), el("td", { class: "n" }, count(n)))))));
  });
  return made;
}

/** Points of `[x, y, count]`, as circles by count. */
function scatter(points, { label, x: xName, y: yName }) {
  const [W, H, L, B] = [chartWidth(520), 260, 52, 42];
  const right = Math.max(...points.map((p) => p[0])), top = Math.max(...points.map((p) => p[1])), most = Math.max(...points.map((p) => p[2]));
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  const x = (v) => L + ((W - L - 24) * v) / right, y = (v) => H - B - ((H - B - 24) * v) / top;
  for (const part of [0, .5, 1]) add(chart, [svg("line", { class: "axis", x1: L, x2: W - 20, y1: y(top * part), y2: y(top * part) }), svg("text", { x: L - 6, y: y(top * part) + 4, "text-anchor": "end" }, count(Math.round(top * part))), svg("text", { x: x(right * part), y: H - B + 18, "text-anchor": "middle" }, count(Math.round(right * part)))]);
  for (const [px, py, n] of points) add(chart, [svg("circle", { cx: x(px), cy: y(py), r: 3 + 11 * Math.sqrt(n / most), fill: "var(--accent)", "fill-opacity": .35, stroke: "var(--accent)" }, svg("title", {}, px + " × " + py + ": " + count(n)))]);
  add(chart, [svg("text", { x: (L + W) / 2, y: H - 4, "text-anchor": "middle" }, xName), svg("text", { x: 4, y: 14 }, yName)]);
  return el("div", { class: "scroll" }, chart);
}

/** Words sized by how often they come, along a spiral; none covers another. */
function cloud(words) {
  const W = chartWidth(720), H = W < 450 ? 420 : 380;
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Word cloud of the most frequent words" });
  const pen = document.createElement("canvas").getContext("2d");
  const most = Math.sqrt(words[0]?.[1] || 1), placed = [];
  for (const [word, n] of words.filter(([word]) => word.length > 1).slice(0, 90)) {
    const size = Math.max(11, ((W < 450 ? 40 : 54) * Math.sqrt(n)) / most);
    pen.font = "600 " + size + "px system-ui, sans-serif";
    const w = pen.measureText(word).width * 1.06 + 4, h = size * 1.05;
    for (let t = 0; t < 2600; t++) {
      const angle = t * .21, far = t * .13;
      const cx = W / 2 + 1.9 * far * Math.cos(angle), cy = H / 2 + far * Math.sin(angle);
      const box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2];
      if (box[0] < 0 || box[1] < 0 || box[2] > W || box[3] > H) continue;
      if (placed.some((b) => box[0] < b[2] && b[0] < box[2] && box[1] < b[3] && b[1] < box[3])) continue;
      placed.push(box);
      const text = svg("text", { x: cx, y: cy + size * .34, "text-anchor": "middle", class: "cloud" + (placed.length % 2 ? "" : " less") }, word, svg("title", {}, word + ": " + count(n)));
      text.style.fontSize = size + "px";
      text.style.fontWeight = 600;
      chart.append(text);
      break;
    }
  }
  // No empty frame around few words.
  const top = Math.max(0, Math.min(...placed.map((b) => b[1])) - 6), low = Math.min(H, Math.max(...placed.map((b) => b[3])) + 6);
  if (placed.length) chart.setAttribute("viewBox", `0 ${top} ${W} ${low - top}`);
  return el("div", { class: "scroll" }, chart);
}

const SHOWN = 10;
const MEMBERS = 18;
const state = { values: [], moved: false, cut: null, groups: null, scored: null, order: [], hits: null };
let meta, data, cutter, pictures, pager, openView;

async function load() {
  meta = await json("meta");
  const parts = meta.sources.map(async (_, s) => ({ at: await words("near-at-" + s), row: await words("near-" + s), d: await shorts("near-d-" + s) }));
  const known = meta.sources.map((_, s) => shorts("pair-d-" + s));
  const [listings, labelOf, unable, near, pairD, matchAt, matchRow, matchSource, matchD, matchBelow, pairAt, pairRow, shown] = await Promise.all([
    json("listings"), words("label-of"), bytes("unable"), Promise.all(parts), Promise.all(known),
    words("match-at"), words("match-row"), bytes("match-source"), shorts("match-d"), shorts("match-below"),
    words("pair-at"), words("pair-row"), Pictures.load(),
  ]);
  pictures = shown;
  const sizes = new Uint32Array(listings.labels.length);
  for (const label of labelOf) if (label !== NONE) sizes[label]++;
  data = { listings, labelOf, unable, near, pairD, sizes, pairAt, pairRow, fired: { at: matchAt, row: matchRow, source: matchSource, d: matchD, below: matchBelow } };
  data.labelled = labelOf.some((l) => l !== NONE);
  cutter = new Cutter(meta, near, unable);
  data.run = runMatches();
  data.runGroups = groupsOf(data.run, meta.cap);
  data.runScore = data.labelled ? score(data.run, labelOf, sizes) : null;
  state.values = meta.rule.numbers.map((n) => n.value);
}

/** The run's answers: each row's matching rows once, in the run's order. */
function runMatches() {
  const { at, row } = data.fired;
  const n = data.unable.length;
  const { d, below } = data.fired;
  const starts = new Uint32Array(n + 1), rows = new Uint32Array(row.length), margin = new Uint16Array(row.length);
  let end = 0;
  for (let i = 0; i < n; i++) {
    for (let e = at[i]; e < at[i + 1]; e++) {
      if (e === at[i] || row[e] !== row[e - 1]) rows[end++] = row[e];
      margin[end - 1] = Math.max(margin[end - 1], marginOf(d[e], below[e]));
    }
    starts[i + 1] = end;
  }
  return { at: starts, row: rows.slice(0, end), margin: margin.slice(0, end), node: null };
}

const title = (row) => data.listings.title[row] || "";
const label = (row) => (data.labelOf[row] === NONE ? null : data.listings.labels[data.labelOf[row]]);
const similarity = (d) => fixed(1 - d / meta.scale, 3);

/** The packed distance of a pair in a source; null where it is not known. */
function distance(s, a, b) {
  const list = data.near[s];
  for (const [i, j] of [[a, b], [b, a]]) {
    for (let e = list.at[i]; e < list.at[i + 1]; e++) if (list.row[e] === j) return list.d[e];
  }
  const [low, high] = a < b ? [a, b] : [b, a];
  let from = data.pairAt[low], to = data.pairAt[low + 1];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (data.pairRow[middle] < high) from = middle + 1; else to = middle;
  }
  if (from < data.pairAt[low + 1] && data.pairRow[from] === high && data.pairD[s][from] !== 0xffff) return data.pairD[s][from];
  return null;
}

function firings(row) {
  if (state.cut.node) return cutter.firings(state.cut.node, row);
  const { at, row: rows, source, d, below } = data.fired;
  const fired = [];
  for (let e = at[row]; e < at[row + 1]; e++) fired.push({ row: rows[e], source: source[e], d: d[e], below: below[e] });
  return fired;
}

/** Cuts the groups by the sliders' thresholds, or takes the run's own. */
function recut() {
  const was = meta.rule.numbers.map((n) => n.value);
  state.moved = state.values.some((v, i) => v !== was[i]);
  state.cut = state.moved ? cutter.cut(state.values) : data.run;
  state.groups = state.moved ? groupsOf(state.cut, meta.cap) : data.runGroups;
  state.scored = data.labelled ? (state.moved ? score(state.cut, data.labelOf, data.sizes) : data.runScore) : null;
  figures();
  arrange();
}

function tally(matches, groups) {
  let many = 0, largest = 0, matched = 0;
  for (let g = 0; g < groups.count; g++) {
    const size = groups.at[g + 1] - groups.at[g];
    if (size > 1) many++;
    largest = Math.max(largest, size);
  }
  for (let i = 0; i + 1 < matches.at.length; i++) if (matches.at[i + 1] > matches.at[i]) matched++;
  return { many, largest, matched, pairs: matches.row.length };
}

function figures() {
  const now = tally(state.cut, state.groups);
  const run = (data.runTally = data.runTally || tally(data.run, data.runGroups));
  const tiles = [];
  const tile = (name, value, change) => tiles.push(el("div", { class: "tile" }, el("dt", {}, name), el("dd", { "data-figure": name }, value, el("small", {}, change))));
  const by = (x, y, show) => (!state.moved ? "" : x === y ? "as in the run" : (x > y ? "+" : "−") + show(Math.abs(x - y)));
  const exact = (x) => fixed(x, 4);
  if (state.scored) {
    for (const [name, key] of [["F1", "f1"], ["Precision", "precision"], ["Recall", "recall"]]) tile(name, exact(state.scored[key]), by(state.scored[key], data.runScore[key], exact));
  }
  tile("Groups", count(now.many), by(now.many, run.many, count));
  tile("Listings matched", count(now.matched), by(now.matched, run.matched, count) || "of " + count(meta.listings));
  tile("Pairs, both ways", count(now.pairs), by(now.pairs, run.pairs, count));
  tile("Largest group", count(now.largest), by(now.largest, run.largest, count));
  fill($("tiles"), ...tiles);
  $("reset").disabled = !state.moved;
  $("cut-state").textContent = state.moved
    ? "Groups are cut anew by these thresholds." + (meta.more ? " What the recipe does after its rule is not done here." : "") + (meta.sources.some((s) => s.cut) ? " Each listing has its " + meta.k + " nearest here, no more." : "")
    : "These are the run's own answers. Move a threshold to cut them anew.";
}

/** What each group is like, for orders and filters. */
function describe() {
  const { groups, cut, scored } = state;
  const loss = new Float64Array(groups.count), weakest = new Float64Array(groups.count);
  const merged = new Uint8Array(groups.count), missed = new Uint8Array(groups.count);
  for (let g = 0; g < groups.count; g++) {
    const members = groups.members(g);
    let first = NONE;
    for (const i of members) {
      if (scored) loss[g] += scored.loss[i];
      const l = data.labelOf[i];
      if (l === NONE) continue;
      if (first === NONE) first = l;
      else if (l !== first) merged[g] = 1;
    }
  }
  if (scored) {
    for (let i = 0; i < groups.of.length; i++) {
      const l = data.labelOf[i];
      if (l === NONE) continue;
      let same = 1;
      for (let e = cut.at[i]; e < cut.at[i + 1]; e++) if (data.labelOf[cut.row[e]] === l) same++;
      if (same < data.sizes[l]) missed[groups.of[i]] = 1;
    }
  }
  return { loss, weakest, merged, missed };
}

const SHOWS = {
  matched: ["all with two or more", (g, size) => size > 1],
  merged: ["false merges", (g, size, about) => about.merged[g]],
  missed: ["missed pairs", (g, size, about) => about.missed[g]],
  single: ["listings alone", (g, size) => size === 1],
  all: ["everything", () => true],
};
const ORDERS = {
  worst: ["most F1 lost first", (a, b, about) => about.loss[b] - about.loss[a]],
  large: ["largest first", () => 0],
  file: ["as in the file", (a, b) => a - b],
};

/** The groups to show, in order. */
function arrange() {
  const { groups } = state;
  const about = (state.about = describe());
  const size = (g) => groups.at[g + 1] - groups.at[g];
  const keep = SHOWS[$("show").value][1], order = ORDERS[$("order").value][1];
  let chosen = [];
  const wanted = state.hits && new Uint8Array(groups.count);
  if (wanted) for (const i of state.hits) wanted[groups.of[i]] = 1;
  for (let g = 0; g < groups.count; g++) {
    if (wanted && !wanted[g]) continue;
    if (!keep(g, size(g), about)) continue;
    if (size(g) === 1 && data.unable[groups.rows[groups.at[g]]]) continue;
    chosen.push(g);
  }
  chosen.sort((a, b) => order(a, b, about) || size(b) - size(a) || a - b);
  state.order = chosen;
  $("found").textContent = plural(chosen.length, "group") + (state.hits ? " with " + plural(state.hits.length, "listing") + " found" : "") + "." +
    (groups.cut ? " Chains of more than " + meta.cap + " listings are shown in parts, cut at their weakest pairs (" + plural(groups.cut, "pair") + ")." : "");
  pager.reset(chosen.length);
}

function findHits() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) state.hits = null;
  else {
    data.texts = data.texts || data.listings.id.map((id, i) => (id + " " + title(i)).toLowerCase());
    state.hits = [];
    data.texts.forEach((text, i) => words.every((w) => text.includes(w)) && state.hits.push(i));
  }
  if (state.hits && $("show").value === "matched") $("show").value = "all";
  arrange();
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/** A letter for each product in a group: which listings belong together is never told by colour alone. */
function letters(members) {
  const seen = new Map();
  for (const i of members) {
    const l = data.labelOf[i];
    if (l !== NONE && !seen.has(l)) seen.set(l, seen.size);
  }
  return (i) => {
    const at = seen.get(data.labelOf[i]);
    return at === undefined ? null : at < 26 ? LETTERS[at] : LETTERS[Math.floor(at / 26) - 1] + LETTERS[at % 26];
  };
}

function item(row, letter, more) {
  const hit = state.hits && state.hitSet.has(row);
  const product = label(row);
  return el("li", { class: "item" + (hit ? " hit" : "") + (more || ""), "data-row": row },
    pictures.view(row, title(row)),
    el("p", { class: "title", title: title(row) }, title(row) || el("span", { class: "soft" }, "no title")),
    el("span", { class: "id", title: data.listings.id[row] }, data.listings.id[row]),
    product !== null && el("span", { class: "chip", title: "product " + product }, letter ? letter + " · " + product : product));
}

function card(g, place) {
  const members = state.groups.members(g);
  const { scored, about } = state;
  const letter = letters(members);
  const products = new Set([...members].map((i) => data.labelOf[i]).filter((l) => l !== NONE));
  const away = missing(members);
  const verdict = [];
  if (scored && products.size) {
    if (products.size > 1) verdict.push(el("span", { class: "bad" }, "✗ " + products.size + " products merged"));
    if (away.length) verdict.push(el("span", { class: "bad" }, "✗ " + plural(away.length, "listing") + " of " + (products.size > 1 ? "these products" : "this product") + " missed"));
    if (!verdict.length) verdict.push(el("span", { class: about.loss[g] > 1e-9 ? "" : "good" }, about.loss[g] > 1e-9 ? "not every pair matched" : "✓ complete"));
  }
  const gallery = el("ul", { class: "gallery" + (pictures.none ? " bare" : "") });
  const show = (all) => {
    const shown = all ? members : members.subarray(0, MEMBERS);
    fill(gallery, [...shown].map((i) => item(i, products.size > 1 ? letter(i) : null)));
    if (shown.length < members.length) gallery.append(el("li", { class: "item" }, el("button", { type: "button", onclick: () => show(true) }, "Show all " + members.length)));
  };
  show(false);
  const name = members.length > 1 ? "Group of " + members.length : "Alone";
  return el("article", { class: "card group", tabindex: "0", "aria-label": name + ", " + count(place + 1) + " of " + count(state.order.length) },
    el("header", {}, el("h3", {}, name), el("span", { class: "soft small num" }, "#" + count(place + 1)),
      scored && about.loss[g] > 1e-9 && el("span", { class: "soft small num", title: "the mean F1 of its listings" }, "F1 " + fixed(1 - about.loss[g] / members.length, 2)),
      el("span", { class: "verdict" }, ...verdict.flatMap((v, i) => (i ? [" · ", v] : [v])))),
    gallery,
    unfold([
      members.length > 1 && ["Why these match", () => whyTable(members, letter)],
      ["Near misses", () => nearTable(members)],
      away.length > 0 && ["Missed: " + plural(away.length, "listing"), () => missedList(members, away)],
    ]));
}

/** Buttons in a row, and what each of them shows; made when it is first asked for. */
function unfold(parts) {
  const row = el("div", { class: "more" }), all = el("div", {}, row);
  for (const [name, make] of parts.filter(Boolean)) {
    const panel = el("div", { class: "panel scroll", hidden: true, role: "group", "aria-label": name });
    const button = el("button", { type: "button", "aria-expanded": "false" }, name);
    button.addEventListener("click", () => {
      if (!panel.hasChildNodes()) add(panel, [make()]);
      panel.hidden = !panel.hidden;
      button.setAttribute("aria-expanded", String(!panel.hidden));
    });
    row.append(button);
    all.append(panel);
  }
  return all;
}

/** Listings of the members' products that stand in other groups. */
function missing(members) {
  if (!data.labelled) return [];
  data.byLabel = data.byLabel || byLabel();
  const here = new Set(members), away = [];
  for (const l of new Set([...members].map((i) => data.labelOf[i]))) {
    if (l !== NONE) for (const i of data.byLabel[l]) if (!here.has(i)) away.push(i);
  }
  return away;
}

function byLabel() {
  const rows = Array.from(data.sizes, () => []);
  data.labelOf.forEach((l, i) => l !== NONE && rows[l].push(i));
  return rows;
}

/** One cell a source: the similarity, a bar, and the threshold where it fired. */
function scoreCells(a, b, fired) {
  return meta.sources.map((source, s) => {
    const d = distance(s, a, b);
    const hits = fired.filter((f) => f.source === s);
    if (d === null) return el("td", { class: "soft", title: "beyond the neighbours that this report keeps" }, source.equal ? "differs" : "far");
    const text = source.equal && d > 0 ? Math.round((d / meta.scale) * 64) + " bits" : similarity(d);
    const fire = hits.length && hits.reduce((x, y) => (x.below > y.below ? x : y));
    const why = !hits.length ? null : fire.below === 0 ? "✓ equal" : "✓ > " + similarity(fire.below);
    return el("td", {}, el("span", { class: hits.length ? "fired num" : "soft num" }, text),
      el("span", { class: "meter" + (hits.length ? " on" : ""), "aria-hidden": "true" }, el("i", { style: { width: Math.max(0, Math.min(100, 100 * (1 - d / meta.scale))) + "%" } })),
      why && el("span", { class: "small good" }, why));
  });
}

/** What fired behind the rule: a group, or a model of pairs. */
function afterCell(fired) {
  const behind = new Set(fired.filter((f) => f.source >= meta.sources.length).map((f) => meta.after[f.source - meta.sources.length] || "behind the rule"));
  return el("td", { class: behind.size ? "good" : "soft" }, behind.size ? "✓ " + [...behind].join(", ") : "–");
}

const sourceHeads = () => meta.sources.map((s) => el("th", { scope: "col" }, s.name));
const who = (row, letter) => el("td", { class: "who" }, pictures.view(row, title(row)), letter && el("b", {}, letter + " "), title(row) || data.listings.id[row], el("br"), el("span", { class: "soft small" }, data.listings.id[row]));

function truth(a, b) {
  const [x, y] = [data.labelOf[a], data.labelOf[b]];
  if (x === NONE || y === NONE) return el("td", { class: "soft" }, "unknown");
  return x === y ? el("td", { class: "good" }, "✓ same product") : el("td", { class: "bad" }, "✗ other product");
}

function whyTable(members, letter) {
  const pairs = new Map();
  for (const a of members) {
    for (const f of firings(a)) {
      const key = Math.min(a, f.row) + "," + Math.max(a, f.row);
      if (!pairs.has(key)) pairs.set(key, { a: Math.min(a, f.row), b: Math.max(a, f.row), fired: [], ways: new Set() });
      pairs.get(key).fired.push(f);
      pairs.get(key).ways.add(a);
    }
  }
  const margin = (p) => Math.max(...p.fired.map((f) => (f.below === 0 ? 1e9 : f.below - f.d)));
  const sorted = [...pairs.values()].sort((x, y) => wrong(y) - wrong(x) || margin(x) - margin(y));
  const body = el("tbody"), box = el("div", { class: "pager" });
  const pages = new Pager(box, 20, ["pair"], (from, to) => fill(body, sorted.slice(from, to).map((p) =>
    el("tr", {}, who(p.a, letter(p.a)), who(p.b, letter(p.b)), scoreCells(p.a, p.b, p.fired), meta.after.length > 0 && afterCell(p.fired), data.labelled && truth(p.a, p.b),
      el("td", { class: "soft" }, p.ways.size === 2 ? "both ways" : "one way")))));
  pages.reset(sorted.length);
  return el("div", {}, el("table", { class: "pairs" }, el("caption", { class: "sr" }, "Pairs that match, the weakest first, and each kind of evidence"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Listing"), el("th", { scope: "col" }, "Listing"), sourceHeads(), meta.after.length > 0 && el("th", { scope: "col" }, "Behind the rule"), data.labelled && el("th", { scope: "col" }, "Label"), el("th", { scope: "col" }, "Direction"))), body), box);
}

const wrong = (p) => (data.labelOf[p.a] !== NONE && data.labelOf[p.b] !== NONE && data.labelOf[p.a] !== data.labelOf[p.b] ? 1 : 0);

/** The loosest threshold that the rule now has for a source. */
function loosest(s) {
  let most = 0;
  meta.rule.numbers.forEach((n, i) => { if (n.s === s && n.what !== "step") most = Math.max(most, cutter.pack(state.values[i])); });
  return meta.sources[s].equal ? 1 : most;
}

/** Pairs from these listings that did not match, the nearest to matching first. */
function nearMisses(members) {
  const here = new Set(members), found = new Map();
  for (const a of members) {
    const matched = new Set(state.cut.row.subarray(state.cut.at[a], state.cut.at[a + 1]));
    data.near.forEach((list, s) => {
      const below = loosest(s);
      for (let e = list.at[a]; e < list.at[a + 1]; e++) {
        const b = list.row[e];
        if (matched.has(b) || data.unable[b]) continue;
        const key = Math.min(a, b) + "," + Math.max(a, b);
        const gap = (list.d[e] - below) / meta.scale;
        const was = found.get(key);
        if (!was || gap < was.gap) found.set(key, { a, b, s, gap, d: list.d[e], below, inside: here.has(b) });
      }
    });
  }
  const matchedBack = (p) => state.cut.row.subarray(state.cut.at[p.b], state.cut.at[p.b + 1]).includes(p.a);
  return [...found.values()].filter((p) => !matchedBack(p)).sort((x, y) => x.gap - y.gap).slice(0, 12);
}

function nearTable(members) {
  const near = nearMisses(members);
  if (!near.length) return el("p", { class: "soft small" }, "Nothing else comes near.");
  const why = (p) => {
    const source = meta.sources[p.s];
    if (source.equal) return source.name + " differs by " + Math.round((p.d / meta.scale) * 64) + " of 64 bits";
    if (p.gap >= 0) return source.name + " " + similarity(p.d) + ", needs more than " + similarity(p.below);
    return source.name + " " + similarity(p.d) + ": the rule stopped before " + similarity(p.below) + ", or asks for more than this";
  };
  return el("table", { class: "pairs" }, el("caption", { class: "sr" }, "Pairs that only just do not match"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Listing here"), el("th", { scope: "col" }, "Not matched"), sourceHeads(), data.labelled && el("th", { scope: "col" }, "Label"), el("th", { scope: "col" }, "What it lacks"))),
    el("tbody", {}, near.map((p) => el("tr", {}, who(p.a), who(p.b), scoreCells(p.a, p.b, []), data.labelled && truth(p.a, p.b), el("td", {}, why(p), p.inside && el("span", { class: "soft" }, " (joined through others)"))))));
}

function missedList(members, away) {
  const list = el("ul", { class: "gallery" + (pictures.none ? " bare" : "") });
  for (const i of away.slice(0, 60)) {
    const made = item(i, null, " outside");
    made.append(el("button", { type: "button", class: "plain small", onclick: () => showGroup(state.groups.of[i]) }, "its group"));
    list.append(made);
  }
  return el("div", { class: "missed" }, el("p", { class: "soft small" }, "Of the same product by its label, and in other groups" + (away.length > 60 ? "; the first 60" : "") + "."), list);
}

function showGroup(g) {
  let at = state.order.indexOf(g);
  if (at < 0) {
    $("show").value = "all";
    $("search").value = "";
    state.hits = null;
    arrange();
    at = state.order.indexOf(g);
  }
  if (at < 0) return;
  pager.go(Math.floor(at / SHOWN));
  $("groups").children[at % SHOWN]?.focus();
}

function drawGroups(from, to) {
  state.hitSet = new Set(state.hits || []);
  const cards = state.order.slice(from, to).map((g, i) => card(g, from + i));
  if (cards.length) return fill($("groups"), cards);
  fill($("groups"), el("p", { class: "card empty" }, state.hits ? "Nothing is found. Fewer words find more." : $("show").value === "matched" ? "No two listings match under these thresholds. Move one to the right to loosen it." : "There are no such groups."));
}

const WHAT = { threshold: "threshold", low: "starts at", high: "ends at", min2: "for a listing alone" };
function makeSliders() {
  const form = $("sliders");
  const update = later(() => { recut(); window.curvesStale && window.curvesStale(); });
  meta.sources.forEach((source, s) => {
    const set = el("fieldset", {}, el("legend", {}, source.name));
    meta.rule.numbers.forEach((number, n) => {
      if (number.s !== s || number.what === "step") return;
      const out = el("output", { class: "num", for: "n" + n });
      const input = el("input", { type: "range", id: "n" + n, min: 0, max: Math.ceil(source.reach * 200) / 200, step: 0.005, "aria-label": source.name + ", " + WHAT[number.what] + ", cosine distance" });
      const box = el("label", {}, el("span", { class: "row" }, el("span", {}, WHAT[number.what]), out), input);
      const show = () => {
        const value = state.values[n];
        out.textContent = "similarity > " + fixed(1 - value, 3);
        input.setAttribute("aria-valuetext", "distance below " + fixed(value, 3) + ", similarity above " + fixed(1 - value, 3));
        box.classList.toggle("moved", value !== number.value);
      };
      input.addEventListener("input", () => { state.values[n] = Number(input.value); show(); update(); });
      number.show = () => { input.value = state.values[n]; show(); };
      number.show();
      set.append(box);
    });
    if (source.equal) set.append(el("p", { class: "soft small" }, "matches when it is equal"));
    form.append(set);
  });
  form.append(el("p", { class: "soft small" }, "To the right is looser: more pairs match."));
  $("reset").addEventListener("click", () => {
    state.values = meta.rule.numbers.map((n) => n.value);
    meta.rule.numbers.forEach((n) => n.show && n.show());
    update();
  });
  if (window.innerWidth <= 860) $("thresholds").open = false;
}

function makeControls() {
  const options = (box, of, keys) => keys.forEach((key) => box.append(el("option", { value: key }, of[key][0])));
  options($("show"), SHOWS, data.labelled ? ["matched", "merged", "missed", "single", "all"] : ["matched", "single", "all"]);
  options($("order"), ORDERS, data.labelled ? ["worst", "large", "file"] : ["large", "file"]);
  $("show").addEventListener("change", arrange);
  $("order").addEventListener("change", arrange);
  let wait;
  $("search").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(findHits, 120); });
  makeKeys(() => { openView("groups"); return $("search"); }, () => [...$("groups").querySelectorAll("article")], (by) => {
    const to = pager.at + by;
    if (to < 0 || to >= pager.pages()) return false;
    pager.go(to);
    return true;
  });
}

function makeRejects() {
  const tab = $("tab-rejects");
  tab.textContent = "Rejects (" + count(meta.rejected) + ")";
  $("rejects-note").textContent = meta.rejected ? "What could not be used of the input, and why. A listing stays where only a cell of it was lost." : "";
  if (!meta.rejected) return fill($("rejects"), el("p", { class: "empty" }, "Nothing was rejected."));
  const body = el("tbody");
  fill($("rejects"), el("table", {}, el("thead", {}, el("tr", {}, ["Row", "Listing", "Column", "Reason"].map((h) => el("th", { scope: "col" }, h)))), body));
  new Pager($("rejects-pager"), 100, ["reject"], (from, to) => fill(body, meta.rejects.slice(from, to).map((r) => el("tr", {}, r.map((cell) => el("td", {}, cell)))))).reset(meta.rejects.length);
}

function makeAbout() {
  const { recipe } = meta;
  const facts = [["Listings", count(meta.listings) + (meta.file ? " in " + meta.file : "")], ["Recipe", recipe.name], ["About", recipe.about], ["Published", recipe.source], ["Rule", el("code", {}, meta.rule.text)], ["Behind the rule", meta.steps.join(", then ")], ["doppel", meta.version]];
  fill($("about"), el("h2", {}, "About this run"), el("table", {}, el("tbody", {}, facts.filter(([, v]) => v).map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k), el("td", {}, v))))),
    el("p", { class: "soft small" }, "Thresholds in the rule are cosine distances; a similarity is one minus that."),
    meta.notes.length > 0 && el("div", {}, el("h3", {}, "Notes"), el("ul", {}, meta.notes.map((n) => el("li", {}, n)))));
}

async function start() {
  await load();
  $("subtitle").textContent = plural(meta.listings, "listing") + " · recipe " + meta.recipe.name + (data.labelled ? " · labelled" : " · without labels");
  pager = new Pager($("groups-pager"), SHOWN, ["group"], drawGroups);
  pager.turned = () => { $("groups").scrollIntoView({ block: "start" }); $("groups").firstElementChild?.focus({ preventScroll: true }); };
  openView = makeTabs($("tabs"), (view) => view === "curves" && drawCurves());
  makeSliders();
  makeControls();
  makeRejects();
  makeAbout();
  recut();
  ready();
}
addEventListener("DOMContentLoaded", () => start().catch(failed));

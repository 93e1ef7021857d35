let meta, data, pictures, openView, resultPager;
const drawn = new Set();
const title = (row) => data.listings.title[row] || "";
const label = (row) => (data.labelOf[row] === NONE ? null : data.listings.labels[data.labelOf[row]]);

function palettes(row) {
  const file = pictures.none ? NONE : pictures.fileOf[row];
  const found = meta.colours && file !== NONE && meta.colours.of_file[file];
  if (!found) return null;
  return el("div", { role: "img", "aria-label": "Colours: " + found[1].map(([c, share]) => c + " " + Math.round(100 * share) + "%").join(", ") }, found.map((set) => palette(set)));
}

function palette(set, large) {
  return el("div", { class: "palette" + (large ? " large" : ""), "aria-hidden": large ? null : "true" }, set.map(([colour, share]) => el("i", { title: colour + ", " + Math.round(100 * share) + "%", style: { background: colour, flexGrow: String(Math.max(share, .01)) } })));
}

function item(row, colours) {
  const product = label(row);
  return el("li", { class: "item" }, pictures.view(row, title(row)), colours && palettes(row),
    el("p", { class: "title", title: title(row) }, title(row) || el("span", { class: "soft" }, "no title")),
    el("span", { class: "id" }, data.listings.id[row]), product !== null && el("span", { class: "chip" }, product));
}

function gallery(rows, total, colours) {
  const list = el("ul", { class: "gallery" + (pictures.none ? " bare" : "") });
  const show = (n) => {
    fill(list, rows.slice(0, n).map((row) => item(row, colours)));
    if (rows.length > n) list.append(el("li", { class: "item" }, el("button", { type: "button", onclick: () => show(rows.length) }, "Show " + rows.length)));
    else if (total > rows.length) list.append(el("li", { class: "item soft small" }, "and " + count(total - rows.length) + " more"));
  };
  show(8);
  return list;
}

const card = (name, ...kids) => el("div", { class: "card", tabindex: "0", "aria-label": name }, el("h2", {}, name), kids);
const note = (...text) => el("p", { class: "soft small" }, ...text);
const empty = (text) => el("p", { class: "card empty" }, text);

const draw = {
  overview(box) {
    const heads = ["Column", "Filled", "Empty", "Different", "That repeat", "Most often"];
    const columns = meta.columns.map((c) => el("tr", {}, el("th", { scope: "row" }, c.name), c.there ? [c.filled, c.empty, c.unique, c.repeated, c.most].map((n) => el("td", { class: "n" }, count(n))) : el("td", { class: "soft", colspan: 5 }, "not in the file")));
    fill(box, card("Columns", el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((h, i) => el("th", { scope: "col", class: i ? "n" : null }, h)))), el("tbody", {}, columns)))),
      card("Rows equal in all but the id", meta.duplicates.rows ? note(plural(meta.duplicates.rows, "row") + " repeat another one, in " + plural(meta.duplicates.sets, "set") + ". The largest:") : note("No two rows are equal in image, hash, title and group."),
        meta.duplicates.repeated_ids > 0 && note(plural(meta.duplicates.repeated_ids, "row") + " repeat the id of an earlier row and were rejected; " + count(meta.duplicates.whole_rows) + " of them are equal to it in every column."),
        meta.duplicates.largest.map((set) => el("div", {}, el("h3", {}, plural(set.count, "equal row")), gallery(set.rows, set.count)))));
  },
  groups(box) {
    if (!meta.groups) return fill(box, empty("There is no column label_group, so there are no groups to show."));
    fill(box, card("Sizes of groups", note(plural(meta.groups.count, "group") + ", of " + fixed(meta.groups.mean, 2) + " listings on average; " + count(meta.groups.single) + " of one alone."), bars(meta.groups.sizes, { label: "listings in a group", of: "groups", full: true })),
      meta.groups.largest.map((set, i) => card("Group " + data.listings.labels[set.label] + " · " + plural(set.count, "listing"), i === 0 && meta.colours && note("Under each picture its colours, by k-means with " + meta.colours.clusters.join(", ") + " clusters."), gallery(set.rows, set.count, true))));
  },
  titles(box) {
    const { titles, words } = meta;
    fill(box, el("div", { class: "two" },
      card("Length of titles", note(fixed(titles.mean_characters, 1) + " characters on average."), bars(titles.characters, { label: "characters in a title", of: "titles" })),
      card("Words in titles", note(fixed(titles.mean_words, 1) + " words on average."), bars(titles.words, { label: "words in a title", of: "titles" })),
      card("Length of words", note(plural(words.distinct, "different word") + " of " + count(words.total) + "; " + count(words.once) + " stand once."), bars(words.lengths, { label: "characters in a word", of: "words" })),
      card("Titles that repeat", note(repeatsNote(titles, "title")), bars(titles.counts.filter(([n]) => n > 1), { label: "listings with the same title", of: "titles" }))),
      words.most.length > 0 && card("The most frequent words", cloud(words.most), wordTable(words.most)),
      titles.largest.map((set) => card("“" + set.name + "” · " + plural(set.count, "listing"), meta.groups && note(set.products === 1 ? "All of one product." : "Of " + plural(set.products, "product") + "."), gallery(set.rows, set.count))));
  },
  images(box) {
    const { images, colours, hashes } = meta;
    const parts = [];
    if (images) {
      parts.push(card("Sizes of pictures", note(plural(images.files, "file") + ", " + fixed(images.bytes / 1e6, 1) + " MB; " + plural(images.distinct, "different size") + (images.unreadable ? "; " + count(images.unreadable) + " cannot be read" : "") + "."), el("div", { class: "two" }, scatter(images.sizes, { label: "Width and height of pictures", x: "width in pixels", y: "height in pixels" }), bars(images.log_bytes, { label: "bytes of a file", of: "files", name: bytesName }))));
    } else parts.push(empty("No pictures were looked at: name their folder with --images."));
    if (colours) parts.push(card("Colours", note("Of " + plural(colours.pictures, "picture") + ", five colours of each, joined to " + colours.together.length + "; wide is frequent."), el("div", { role: "img", "aria-label": "Colours of all pictures together" }, palette(colours.together, true))));
    parts.push(card("Hashes that repeat", note(hashes.unique ? repeatsNote(hashes, "hash", "hashes") : "There are no perceptual hashes: none in the file, and no pictures to take them from."), bars(hashes.counts.filter(([n]) => n > 1), { label: "listings with the same hash", of: "hashes" })));
    for (const set of hashes.largest) parts.push(card("Hash " + set.name + " · " + plural(set.count, "listing"), meta.groups && note(set.products === 1 ? "All of one product." : "Of " + plural(set.products, "product") + "."), gallery(set.rows, set.count)));
    fill(box, parts);
  },
  folds(box) {
    if (!meta.folds) return fill(box, empty("There is no column fold. --folds K makes folds that share no product."));
    const heads = ["Fold", "Listings", "Groups", "Listings a group", "Largest group", "Words a title", "With a picture"];
    fill(box, card("By " + meta.folds.by, el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((h, i) => el("th", { scope: "col", class: i ? "n" : null }, h)))), el("tbody", {}, meta.folds.folds.map((f) => el("tr", {}, el("th", { scope: "row" }, f.name), [count(f.listings), count(f.groups), fixed(f.mean_group, 2), count(f.largest_group), fixed(f.mean_words, 2), count(f.with_image)].map((c) => el("td", { class: "n" }, c)))))))),
      el("div", { class: "two" }, meta.folds.folds.map((f) => card("Fold " + f.name, bars(f.sizes, { label: "listings in a group", of: "groups", tall: 110 })))));
  },
  map: drawMaps,
  find() {},
};

function repeatsNote(set, one, many) {
  if (!set.repeated) return "None repeats.";
  return plural(set.repeated, one, many) + " of " + count(set.unique) + " repeat, over " + plural(set.rows, "listing") + (meta.groups ? "; " + count(set.of_one_product) + " of them stand for one product alone" : "") + ".";
}

function bytesName(step) {
  const n = Math.pow(10, step / 10);
  return n < 1000 ? Math.round(n) + " B" : n < 1e6 ? Math.round(n / 1e3) + " kB" : (n / 1e6).toFixed(1) + " MB";
}

function wordTable(words) {
  const box = el("div", { class: "scroll" });
  const made = el("details", {}, el("summary", {}, "As a table"), box);
  made.addEventListener("toggle", () => {
    if (made.open && !box.hasChildNodes()) box.append(el("table", { class: "list-words" }, el("thead", {}, el("tr", {}, ["Word", "Times", "Titles"].map((h, i) => el("th", { scope: "col", class: i ? "n" : null }, h)))), el("tbody", {}, words.map(([word, n, titles]) => el("tr", {}, el("td", {}, word), el("td", { class: "n" }, count(n)), el("td", { class: "n" }, count(titles)))))));
  });
  return made;
}

async function drawMaps(box) {
  if (!meta.maps.length) return fill(box, empty("There is no map: too few listings were chosen, or --map-points is 0."));
  const maps = await Promise.all(meta.maps.map(async (map, m) => ({ ...map, rows: await words("map-rows-" + m), at: await floats("map-" + m) })));
  const groups = new Map();
  for (const row of maps[0].rows) groups.set(data.labelOf[row], (groups.get(data.labelOf[row]) || 0) + 1);
  const sorted = [...groups].filter(([l]) => l !== NONE).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const place = new Map(sorted.map(([l], i) => [l, i]));
  const colour = (l) => (place.has(l) ? `hsl(${Math.round((place.get(l) * 137.508) % 360)} 62% 52%)` : "var(--soft)");
  const choose = el("select", { id: "map-group" }, el("option", { value: "" }, "all groups"), sorted.slice(0, 200).map(([l, n]) => el("option", { value: l }, data.listings.labels[l] + " (" + n + ")")));
  const shown = el("div", { "aria-live": "polite" }, note("Point at a dot, or choose a group."));
  const pictured = maps.map((map) => plot(map, colour, (row) => fill(shown, el("ul", { class: "gallery" + (pictures.none ? " bare" : "") }, item(row, true)))));
  choose.addEventListener("change", () => {
    const l = choose.value === "" ? null : Number(choose.value);
    for (const chart of pictured) {
      chart.classList.toggle("picking", l !== null);
      for (const dot of chart.querySelectorAll(".dot")) dot.classList.toggle("on", l !== null && Number(dot.dataset.label) === l);
    }
    if (l === null) return fill(shown, note("Point at a dot, or choose a group."));
    const rows = [...maps[0].rows].filter((row) => data.labelOf[row] === l);
    fill(shown, gallery(rows, rows.length, true));
  });
  const heads = maps.map((map, m) => el("div", {}, el("h3", {}, map.name), note(map.of + (map.same_group_of_10_nearest === null ? "" : "; of the ten nearest " + Math.round(100 * map.same_group_of_10_nearest) + "% are of the same group")), pictured[m]));
  fill(box, card("Listings by nearness", note(plural(maps[0].rows.length, "listing") + (sorted.length ? " of " + plural(sorted.length, "group") : "") + ", placed by t-SNE: near dots are near in the space, distances between far ones say little. Groups share a colour and a shape."),
    el("div", { class: "bar controls" }, sorted.length > 0 && el("label", {}, el("span", { class: "small soft" }, "Group "), choose)), el("div", { class: "maps" }, heads), shown));
}

const SHAPES = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x} ${y - 1.3 * r}l${1.2 * r} ${2.2 * r}h${-2.4 * r}z`,
  (x, y, r) => `M${x} ${y - 1.4 * r}l${1.3 * r} ${1.4 * r}l${-1.3 * r} ${1.4 * r}l${-1.3 * r} ${-1.4 * r}z`,
  (x, y, r) => `M${x - r} ${y - .4 * r}h${.6 * r}v${-.6 * r}h${.8 * r}v${.6 * r}h${.6 * r}v${.8 * r}h${-.6 * r}v${.6 * r}h${-.8 * r}v${-.6 * r}h${-.6 * r}z`,
];

function plot(map, colour, pointed) {
  const S = 420, edge = 14;
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < map.rows.length; i++) {
    left = Math.min(left, map.at[2 * i]); right = Math.max(right, map.at[2 * i]);
    low = Math.min(low, map.at[2 * i + 1]); high = Math.max(high, map.at[2 * i + 1]);
  }
  const scale = (S - 2 * edge) / Math.max(right - left, high - low, 1e-9);
  const chart = svg("svg", { class: "map", viewBox: `0 0 ${S} ${S}`, role: "img", "aria-label": "Map by " + map.name });
  const xs = [], ys = [], radius = Math.max(2.4, Math.min(4.5, 70 / Math.sqrt(map.rows.length)));
  for (let i = 0; i < map.rows.length; i++) {
    const l = data.labelOf[map.rows[i]];
    xs.push(edge + (map.at[2 * i] - left) * scale + (S - 2 * edge - (right - left) * scale) / 2);
    ys.push(edge + (map.at[2 * i + 1] - low) * scale + (S - 2 * edge - (high - low) * scale) / 2);
    const dot = svg("path", { class: "dot", d: SHAPES[(l === NONE ? 0 : l) % SHAPES.length](+xs[i].toFixed(1), +ys[i].toFixed(1), radius), "data-label": l });
    dot.style.fill = colour(l);
    chart.append(dot);
  }
  const ring = svg("circle", { class: "at", r: 8, cx: -20, cy: -20 });
  chart.append(ring);
  chart.addEventListener("pointermove", (e) => {
    const box = chart.getBoundingClientRect();
    const x = ((e.clientX - box.left) / box.width) * S, y = ((e.clientY - box.top) / box.height) * S;
    let best = -1, near = 400;
    for (let i = 0; i < xs.length; i++) {
      const d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
      if (d < near) { near = d; best = i; }
    }
    if (best < 0 || Number(ring.dataset.row) === map.rows[best]) return;
    ring.dataset.row = map.rows[best];
    ring.setAttribute("cx", xs[best]);
    ring.setAttribute("cy", ys[best]);
    pointed(map.rows[best]);
  });
  return chart;
}

function find() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  data.texts = data.texts || data.listings.id.map((id, i) => (id + " " + title(i) + " " + (label(i) ?? "")).toLowerCase());
  const hits = [];
  if (words.length) data.texts.forEach((text, i) => words.every((w) => text.includes(w)) && hits.push(i));
  const groups = new Map();
  for (const i of hits) {
    const key = data.labelOf[i] === NONE ? "row " + i : data.labelOf[i];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  // A group that is found is shown whole.
  const whole = [...groups].map(([key, rows]) => (typeof key === "string" ? rows : byLabel()[key]));
  $("found").textContent = words.length ? plural(hits.length, "listing") + (meta.groups ? " in " + plural(groups.size, "group") : "") : "Words of titles, an id, or a group.";
  const found = new Set(hits);
  resultPager.draw = (from, to) => fill($("results"), whole.slice(from, to).map((rows) => {
    const name = data.labelOf[rows[0]] === NONE ? data.listings.id[rows[0]] : "Group " + label(rows[0]) + " · " + plural(rows.length, "listing");
    const made = card(name, gallery([...rows.filter((r) => found.has(r)), ...rows.filter((r) => !found.has(r))], rows.length, true));
    return made;
  }), words.length > 0 && !hits.length && empty("Nothing is found. Fewer words find more."));
  resultPager.reset(whole.length);
}

function byLabel() {
  if (!data.byLabel) {
    data.byLabel = data.listings.labels.map(() => []);
    data.labelOf.forEach((l, i) => l !== NONE && data.byLabel[l].push(i));
  }
  return data.byLabel;
}

async function start() {
  meta = await json("meta");
  const [listings, labelOf, shown] = await Promise.all([json("listings"), words("label-of"), Pictures.load()]);
  data = { listings, labelOf };
  pictures = shown;
  $("subtitle").textContent = (meta.file ? meta.file + " · " : "") + plural(meta.listings, "listing");
  const column = (name) => meta.columns.find((c) => c.name === name);
  const tile = (name, value, more) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", { "data-figure": name }, value, el("small", {}, more)));
  fill($("tiles"), tile("Listings", count(meta.listings), meta.rejected ? plural(meta.rejected, "reject") : ""),
    meta.groups && tile("Groups", count(meta.groups.count), fixed(meta.groups.mean, 2) + " listings each"),
    tile("Different titles", count(column("title").unique), count(meta.titles.repeated) + " repeat"),
    column("image").filled > 0 && tile("Different pictures", count(column("image").unique), count(column("image").repeated) + " repeat"),
    meta.hashes.unique > 0 && tile("Different hashes", count(meta.hashes.unique), count(meta.hashes.repeated) + " repeat"),
    tile("Equal rows", count(meta.duplicates.rows + meta.duplicates.whole_rows), meta.duplicates.whole_rows ? count(meta.duplicates.whole_rows) + " with the id" : "but for the id"));
  resultPager = new Pager($("results-pager"), 10, ["group"], () => {});
  openView = makeTabs($("tabs"), (view) => {
    if (drawn.has(view)) return;
    drawn.add(view);
    Promise.resolve(draw[view]($("view-" + view))).catch(failed);
  });
  drawn.add("overview");
  draw.overview($("view-overview"));
  let wait;
  $("search").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(find, 120); });
  find();
  makeKeys(() => { openView("find"); return $("search"); }, () => [...document.querySelectorAll("main section:not([hidden]) .card[tabindex]")], null);
  ready();
}
addEventListener("DOMContentLoaded", () => start().catch(failed));

const NONE = 0xffffffff;
const $ = (id) => document.getElementById(id);

/** An element; texts become text nodes, so nothing of a listing is ever read as markup. */
function el(tag, props, ...kids) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  add(made, kids);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, props, ...kids) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  add(made, kids);
  return made;
}

function add(to, kids) {
  for (const kid of kids.flat()) {
    if (kid === undefined || kid === null || kid === false) continue;
    to.append(kid instanceof Node ? kid : document.createTextNode(String(kid)));
  }
}

function fill(to, ...kids) {
  to.replaceChildren();
  add(to, kids);
  return to;
}

/** The text of a block, which is then dropped from the page. */
function blockText(name) {
  const block = $("b-" + name);
  if (!block) throw new Error("the page lacks its block " + name);
  const text = block.textContent;
  block.remove();
  return text;
}

async function bytes(name) {
  const binary = atob(blockText(name));
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < packed.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
function numbers(raw, Kind) {
  const size = Kind.BYTES_PER_ELEMENT;
  if (LITTLE) return new Kind(raw.buffer, raw.byteOffset, raw.byteLength / size);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const get = { 2: "getUint16", 4: Kind === Float32Array ? "getFloat32" : "getUint32" }[size];
  return Kind.from({ length: raw.byteLength / size }, (_, i) => view[get](i * size, true));
}
const words = async (name) => numbers(await bytes(name), Uint32Array);
const shorts = async (name) => numbers(await bytes(name), Uint16Array);
const floats = async (name) => numbers(await bytes(name), Float32Array);
const json = async (name) => JSON.parse(new TextDecoder().decode(await bytes(name)));

/** How wide a chart is drawn, in its own units: on a narrow screen fewer, so that its texts stay readable. */
const chartWidth = (most) => Math.max(300, Math.min(most, document.documentElement.clientWidth - 50));

const count = (n) => n.toLocaleString("en");
const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");
const fixed = (x, digits) => (Number.isFinite(x) ? x.toFixed(digits) : "–");

/** Pictures: small ones that stand in the page, else links to the files. */
class Pictures {
  static async load() {
    const made = new Pictures();
    if (!$("b-files")) return made;
    const files = await json("files");
    if (!files.names.length) return made;
    made.folder = files.folder;
    made.names = files.names;
    [made.fileOf, made.thumbOf, made.thumbAt] = await Promise.all([words("file-of"), words("thumb-of"), words("thumb-at")]);
    made.text = blockText("thumbs");
    return made;
  }

  /** Where the picture of a listing is; null where it has none. */
  source(row) {
    if (!this.fileOf) return null;
    const file = this.fileOf[row];
    if (file === NONE) return null;
    const thumb = this.thumbOf[file];
    if (thumb !== NONE) return "data:image/jpeg;base64," + this.text.slice(this.thumbAt[thumb], this.thumbAt[thumb + 1]);
    const parts = this.names[file].split("/").map(encodeURIComponent).join("/");
    const folder = (this.folder || ".").split("/").map((p) => (p === ".." ? p : encodeURIComponent(p))).join("/");
    return (folder || ".") + "/" + parts;
  }

  file(row) {
    return this.fileOf && this.fileOf[row] !== NONE ? this.names[this.fileOf[row]] : null;
  }

  /** Whether no listing has a picture; galleries are of texts then. */
  get none() {
    return !this.fileOf;
  }

  view(row, title) {
    if (this.none) return null;
    const source = this.source(row);
    const box = el("div", { class: "pic" });
    const missing = (why) => fill(box, el("span", { class: "small" }, why));
    if (source === null) return missing("no picture"), box;
    const img = el("img", { src: source, alt: title ? "Picture of " + title : "Picture", loading: "lazy", decoding: "async" });
    img.addEventListener("error", () => missing("picture not found"));
    return fill(box, img);
  }
}

/** Pages of a long list: `draw(from, to)` shows a part. */
class Pager {
  constructor(box, size, what, draw) {
    Object.assign(this, { box, size, what, draw, at: 0, total: 0 });
  }
  reset(total) {
    this.total = total;
    this.at = 0;
    this.show();
  }
  pages() {
    return Math.max(1, Math.ceil(this.total / this.size));
  }
  go(page) {
    this.at = Math.max(0, Math.min(this.pages() - 1, page));
    this.show();
  }
  show() {
    const from = this.at * this.size;
    const to = Math.min(this.total, from + this.size);
    this.draw(from, to);
    if (this.total <= this.size) return fill(this.box);
    const turn = (by) => {
      this.go(this.at + by);
      this.turned && this.turned();
    };
    fill(
      this.box,
      el("button", { type: "button", disabled: this.at === 0, onclick: () => turn(-1) }, "← Earlier"),
      el("span", { class: "soft small num" }, count(from + 1) + "–" + count(to) + " of " + plural(this.total, ...this.what)),
      el("button", { type: "button", disabled: to >= this.total, onclick: () => turn(1) }, "Later →"),
    );
  }
}

/** Tabs by the WAI-ARIA pattern: arrows move, one tab is in the tab order. */
function makeTabs(list, shown) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const select = (tab, focus) => {
    for (const t of tabs) {
      const on = t === tab;
      t.setAttribute("aria-selected", on);
      t.tabIndex = on ? 0 : -1;
      $(t.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) tab.focus();
    list.scrollLeft = tab.offsetLeft + tab.offsetWidth / 2 - list.clientWidth / 2;
    shown(tab.dataset.view);
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (e) => {
      const open = tabs.filter((t) => !t.hidden);
      const at = open.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + open.length, Home: 0, End: open.length - 1 }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      select(open[to % open.length], true);
    });
  }
  return (view) => select(tabs.find((t) => t.dataset.view === view));
}

/** `/` to search, `j` and `k` to move between cards; not while something is typed. */
function makeKeys(search, cards, turn) {
  document.addEventListener("keydown", (e) => {
    const typing = e.target.matches("input[type=search], input[type=number], textarea, select");
    if (e.key === "Escape" && e.target.matches("input[type=search]")) return e.target.blur();
    if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "/") {
      const box = search();
      if (!box) return;
      e.preventDefault();
      box.focus();
      box.select();
    } else if (e.key === "j" || e.key === "k") {
      const all = cards();
      if (!all.length) return;
      e.preventDefault();
      const now = all.findIndex((c) => c.contains(document.activeElement));
      const to = now < 0 ? (e.key === "j" ? 0 : all.length - 1) : now + (e.key === "j" ? 1 : -1);
      if (to >= 0 && to < all.length) return all[to].focus();
      if (turn && turn(to < 0 ? -1 : 1)) {
        const next = cards();
        (to < 0 ? next[next.length - 1] : next[0])?.focus();
      }
    }
  });
}

/** Runs once a frame at most, with what was asked last. */
function later(act) {
  let asked = 0;
  return () => {
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; act(); });
  };
}

function ready() {
  document.documentElement.dataset.ready = Math.round(performance.now());
  const wait = $("wait");
  if (wait) wait.remove();
}

function failed(error) {
  const box = $("wait") || document.body.appendChild(el("div", { id: "wait" }));
  box.className = "wrap card failed";
  fill(box, el("h2", {}, "This page could not be shown"), el("p", {}, String((error && error.message) || error)), el("p", { class: "soft" }, "It needs a browser of 2023 or later."));
  throw error;
}

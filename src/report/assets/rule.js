/**
 * The rule of the run, over the neighbours in the page. Distances are whole numbers, `floor(scale * d)`; a
 * threshold t is `ceil(scale * t)`, and `d < t` is exact for thresholds that are multiples of 1 / scale.
 */
class Cutter {
  constructor(meta, near, unable) {
    Object.assign(this, { meta, near, unable, n: unable.length });
    this.buf = new Int32Array(4096);
    this.len = 0;
    this.mark = new Int32Array(this.n).fill(-1);
    this.first = near.map((list) => this.nearest(list));
  }

  /** Where each row's nearest other row stands in a source's lists; -1 where it has none. */
  nearest(list) {
    const first = new Int32Array(this.n).fill(-1);
    for (let i = 0; i < this.n; i++) {
      for (let e = list.at[i]; e < list.at[i + 1]; e++) {
        if (!this.unable[list.row[e]]) { first[i] = e; break; }
      }
    }
    return first;
  }

  pack(threshold) {
    return Math.ceil(threshold * this.meta.scale - 1e-6);
  }

  push(row, source, d, below) {
    if (this.len + 4 > this.buf.length) {
      const wider = new Int32Array(this.buf.length * 2);
      wider.set(this.buf);
      this.buf = wider;
    }
    this.buf[this.len] = row;
    this.buf[this.len + 1] = source;
    this.buf[this.len + 2] = d;
    this.buf[this.len + 3] = below;
    this.len += 4;
  }

  prepare(node, values) {
    const all = (nodes) => nodes.map((it) => this.prepare(it, values));
    switch (node.t) {
      case "threshold": return { t: "threshold", s: node.s, below: this.pack(values[node.n]) };
      case "equal": return { t: "equal", s: node.s };
      case "or": return { t: "or", of: all(node.of) };
      case "and": return { t: "and", of: all(node.of) };
      case "min2": return { t: "min2", of: this.prepare(node.of, values), s: node.s, below: this.pack(values[node.n]) };
      case "both": return this.bothWays(this.prepare(node.of, values));
      case "sweep": {
        const swept = node.parts.filter((p) => !p.rule).map((p) => ({ s: p.s, steps: this.steps(values[p.n], values[p.n + 1], values[p.n + 2]) }));
        return { t: "sweep", swept, fixed: all(node.parts.filter((p) => p.rule).map((p) => p.rule)) };
      }
      default: throw new Error("a rule of a kind that this page does not know: " + node.t);
    }
  }

  steps(low, high, step) {
    const steps = [];
    for (let t = 0; t < 5000; t++) {
      const at = Math.min(low + t * step, high);
      steps.push(this.pack(at));
      if (at >= high || !(step > 0)) break;
    }
    return steps;
  }

  below(s, below, row) {
    const { at, row: rows, d } = this.near[s];
    for (let e = at[row]; e < at[row + 1] && d[e] < below; e++) {
      if (!this.unable[rows[e]]) this.push(rows[e], s, d[e], below);
    }
  }

  fire(node, row) {
    switch (node.t) {
      case "threshold": return this.below(node.s, node.below, row);
      case "equal": {
        const start = this.len;
        this.below(node.s, 1, row);
        for (let e = start; e < this.len; e += 4) this.buf[e + 3] = 0;
        return;
      }
      case "or": for (const it of node.of) this.fire(it, row); return;
      case "and": return this.common(node, row);
      case "min2": {
        const start = this.len;
        this.fire(node.of, row);
        const e = this.first[node.s][row];
        const list = this.near[node.s];
        if (this.len === start && e >= 0 && list.d[e] < node.below) this.push(list.row[e], node.s, list.d[e], node.below);
        return;
      }
      case "known": {
        for (const f of node.rows[row]) this.push(f[0], f[1], f[2], f[3]);
        return;
      }
      case "sweep": return this.sweep(node, row);
    }
  }

  sweep(node, row) {
    const start = this.len;
    for (const it of node.fixed) this.fire(it, row);
    let last = this.len > start ? 0 : -1;
    if (last < 0) {
      for (const { s, steps } of node.swept) {
        const e = this.first[s][row];
        if (e < 0) continue;
        const d = this.near[s].d[e];
        const t = steps.findIndex((below) => d < below);
        if (t >= 0 && (last < 0 || t < last)) last = t;
      }
    }
    if (last < 0) return;
    for (const { s, steps } of node.swept) this.below(s, steps[Math.min(last, steps.length - 1)], row);
  }

  /** What all parts fire for. */
  common(node, row) {
    const start = this.len;
    let kept = null;
    for (const it of node.of) {
      const from = this.len;
      this.fire(it, row);
      const here = new Set();
      for (let e = from; e < this.len; e += 4) if (!kept || kept.has(this.buf[e])) here.add(this.buf[e]);
      kept = here;
    }
    let to = start;
    for (let e = start; e < this.len; e += 4) {
      if (!kept.has(this.buf[e])) continue;
      this.buf.copyWithin(to, e, e + 4);
      to += 4;
    }
    this.len = to;
  }

  bothWays(node) {
    const rows = [];
    for (let i = 0; i < this.n; i++) {
      this.len = 0;
      if (!this.unable[i]) this.fire(node, i);
      rows.push(Array.from({ length: this.len / 4 }, (_, e) => this.buf.slice(4 * e, 4 * e + 4)));
    }
    const named = rows.map((row) => new Set(row.map((f) => f[0])));
    return { t: "known", rows: rows.map((row, i) => row.filter((f) => named[f[0]].has(i))) };
  }

  /** All rows' matches with these numbers in the rule, without the row itself. */
  cut(values) {
    const node = this.prepare(this.meta.rule.tree, values);
    const at = new Uint32Array(this.n + 1);
    let row = new Uint32Array(1 << 16), margin = new Uint16Array(1 << 16);
    let end = 0;
    const place = this.mark;
    place.fill(-1);
    const most = this.meta.cap - 1;
    for (let i = 0; i < this.n; i++) {
      const from = end;
      this.len = 0;
      if (!this.unable[i]) this.fire(node, i);
      if (end + this.len / 4 > row.length) {
        const size = Math.max(row.length * 2, end + this.len), was = [row, margin];
        [row, margin] = [new Uint32Array(size), new Uint16Array(size)];
        row.set(was[0]);
        margin.set(was[1]);
      }
      for (let e = 0; e < this.len; e += 4) {
        const j = this.buf[e], strong = marginOf(this.buf[e + 2], this.buf[e + 3]);
        // Where this row has met j, `place` says so: places before `from` are of earlier rows.
        if (place[j] < from) { place[j] = end; row[end] = j; margin[end++] = strong; }
        else if (margin[place[j]] < strong) margin[place[j]] = strong;
      }
      if (end - from > most) {
        const was = new Map(Array.from(row.subarray(from, end), (j, e) => [j, margin[from + e]]));
        this.strongest(most).forEach((j, e) => { row[from + e] = j; margin[from + e] = was.get(j); });
        end = from + most;
        // Places beyond the end are to count as unseen.
        for (const j of was.keys()) place[j] = -1;
      }
      at[i + 1] = end;
    }
    return { at, row: row.slice(0, end), margin: margin.slice(0, end), node };
  }

  /** The rows of what fired, best first, at most so many. */
  strongest(most) {
    const best = new Map();
    for (let e = 0; e < this.len; e += 4) {
      const [j, s, d, below] = this.buf.subarray(e, e + 4);
      const was = best.get(j);
      const now = { s, d, margin: below === 0 ? Infinity : below - d };
      if (!was || now.margin > was.margin || (now.margin === was.margin && s < was.s)) best.set(j, now);
    }
    return [...best].sort((a, b) => a[1].d - b[1].d || a[0] - b[0]).slice(0, most).map(([j]) => j);
  }

  /** What fires from a row: { row, source, d, below }. */
  firings(node, row) {
    this.len = 0;
    if (!this.unable[row]) this.fire(node, row);
    const fired = [];
    for (let e = 0; e < this.len; e += 4) {
      const [to, source, d, below] = this.buf.subarray(e, e + 4);
      if (!fired.some((f) => f.row === to && f.source === source && f.below === below)) fired.push({ row: to, source, d, below });
    }
    return fired;
  }
}

/** Mean F1, precision and recall over labelled rows, as `engine evaluate` has them; each row's loss is 1 - F1. */
function score(matches, labelOf, sizes) {
  const n = labelOf.length;
  const loss = new Float64Array(n);
  let f1 = 0, precision = 0, recall = 0, rows = 0, wrong = 0, missed = 0;
  for (let i = 0; i < n; i++) {
    const label = labelOf[i];
    if (label === NONE) continue;
    let both = 1;
    const from = matches.at[i], to = matches.at[i + 1];
    for (let e = from; e < to; e++) if (labelOf[matches.row[e]] === label) both++;
    const predicted = to - from + 1, truth = sizes[label];
    const row = (2 * both) / (truth + predicted);
    loss[i] = 1 - row;
    f1 += row;
    precision += both / predicted;
    recall += both / truth;
    wrong += predicted - both;
    missed += truth - both;
    rows++;
  }
  return { f1: f1 / rows, precision: precision / rows, recall: recall / rows, rows, wrong, missed, loss };
}

/** By how much a firing passed its threshold; an equality (0) passes all others. */
function marginOf(d, below) {
  return below === 0 ? 0xffff : Math.max(0, Math.min(0xfffe, below - d));
}

/**
 * The groups that matches join, each of at most `most` listings: pairs that match both ways come first, then
 * the stronger ones, and one that would make a group too large joins nothing.
 */
function groupsOf(matches, most) {
  const n = matches.at.length - 1;
  const parent = Uint32Array.from({ length: n }, (_, i) => i), size = new Uint32Array(n).fill(1);
  const root = (i) => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]];
    return i;
  };
  const { from, to } = byStrength(matches);
  let cut = 0;
  for (let e = 0; e < from.length; e++) {
    const a = root(from[e]), b = root(to[e]);
    if (a === b) continue;
    if (size[a] + size[b] > most) { cut++; continue; }
    const [low, high] = a < b ? [a, b] : [b, a];
    parent[high] = low;
    size[low] += size[high];
  }
  const number = new Int32Array(n).fill(-1);
  const of = new Uint32Array(n);
  let groups = 0;
  for (let i = 0; i < n; i++) {
    const r = root(i);
    if (number[r] < 0) number[r] = groups++;
    of[i] = number[r];
  }
  const at = new Uint32Array(groups + 1);
  for (let i = 0; i < n; i++) at[of[i] + 1]++;
  for (let g = 0; g < groups; g++) at[g + 1] += at[g];
  const next = at.slice(), rows = new Uint32Array(n);
  for (let i = 0; i < n; i++) rows[next[of[i]]++] = i;
  return { of, at, rows, cut, count: groups, members: (g) => rows.subarray(at[g], at[g + 1]) };
}

/** The pairs, each once: those that match both ways first, then by margin, then by row. */
function byStrength({ at, row, margin }) {
  const n = at.length - 1, KEYS = 1 << 17;
  const key = new Uint32Array(row.length).fill(KEYS);
  const first = new Uint32Array(KEYS + 2);
  for (let i = 0; i < n; i++) {
    for (let e = at[i]; e < at[i + 1]; e++) {
      const j = row[e];
      let back = -1;
      for (let f = at[j]; f < at[j + 1]; f++) if (row[f] === i) { back = f; break; }
      if (back >= 0 && j < i) continue;
      const strong = back < 0 ? margin[e] : Math.max(margin[e], margin[back]);
      key[e] = (back < 0 ? 1 << 16 : 0) + 0xffff - strong;
      first[key[e] + 1]++;
    }
  }
  for (let k = 0; k <= KEYS; k++) first[k + 1] += first[k];
  const total = first[KEYS], from = new Uint32Array(total), to = new Uint32Array(total);
  for (let i = 0; i < n; i++) {
    for (let e = at[i]; e < at[i + 1]; e++) {
      if (key[e] === KEYS) continue;
      const place = first[key[e]]++;
      from[place] = i;
      to[place] = row[e];
    }
  }
  return { from, to };
}

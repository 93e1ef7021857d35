#!/usr/bin/env python3
"""Top-k of TF-IDF rows by cosine: doppel's sparse search beside sparse_dot_topn, in turns.

Build first:   cargo build --release --example bench_sparse
Then:          python3 benches/peers/sparse_topk.py [--rows 70000] [--rounds 5] [--threads 2]
Needs numpy, scipy, scikit-learn and sparse_dot_topn.

Prints one line of JSON per threshold: medians, least and most seconds of each, the ratio of the
medians (above 1: doppel is faster), and how many pairs only one of them found. sparse_dot_topn sums
in float32, so such pairs must lie within --border of the threshold or of their row's k-th score;
otherwise the script fails. Times are of the search alone, in memory, without reading or writing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.sparse as sp
import sparse_dot_topn
from sklearn.feature_extraction.text import TfidfVectorizer

COMMON = """baju celana sepatu tas wanita pria anak murah original promo diskon terbaru import premium
ukuran warna hitam putih merah biru hijau lengan panjang pendek kaos kemeja gamis hijab sandal dompet
jam tangan susu bubuk minyak sabun krim wajah masker rambut sampo botol mainan boneka bayi popok gelas
piring panci lampu kabel baterai casing samsung xiaomi oppo vivo iphone case soft hard tempered glass
charger usb led set pcs pack new ready stock best seller free gift limited edition cotton jeans denim
slim oversize hoodie jacket sweater dress leather canvas backpack bag waterproof portable mini wireless
bluetooth earphone speaker power bank holder motor helm bantal sprei selimut handuk""".split()
SYLLABLES = """ba be bi bo bu da di du ga gi ha ja ka ke ki ko ku la le li lo lu ma me mi mu na ni no
pa pe pi ra re ri ro ru sa se si so su ta te ti to tu wa ya yu""".split()


def made_up_titles(count, seed):
    """Marketplace titles: words by Zipf's law, 5 to 15 of them, near duplicates in groups."""
    rng = np.random.default_rng(seed)
    words, known = list(COMMON), set(COMMON)
    while len(words) < 40_000:
        word = "".join(rng.choice(SYLLABLES, size=int(rng.integers(2, 5))))
        word += str(rng.choice(["", "", "n", "ng", "s", "r", "k"]))
        if rng.random() < 0.12:
            word = word[:3] + str(int(rng.integers(1, 999)))
        if word not in known:
            known.add(word)
            words.append(word)
    weight = 1.0 / (np.arange(len(words)) + 2.7) ** 1.05
    share = weight / weight.sum()
    words = np.array(words)
    pool = iter(())

    def draw():
        nonlocal pool
        word = next(pool, None)
        if word is None:
            pool = iter(words[rng.choice(len(words), size=100_000, p=share)])
            word = next(pool)
        return str(word)

    titles = []
    while len(titles) < count:
        base = [draw() for _ in range(int(rng.integers(5, 16)))]
        for _ in range(int(min(50, 1 + rng.geometric(0.32)))):
            title = list(base)
            for _ in range(int(rng.integers(0, 4))):
                at = int(rng.integers(0, len(title)))
                if rng.random() < 0.5:
                    title[at] = draw()
                elif len(title) > 5:
                    title.pop(at)
            if rng.random() < 0.3:
                rng.shuffle(title)
            if rng.random() < 0.2:
                title += ["-", str(int(rng.integers(1, 500))), str(rng.choice(["ml", "gr", "cm"]))]
            titles.append(" ".join(title))
    return [titles[i] for i in rng.permutation(len(titles))[:count]]


def vectorizer(kind):
    if kind == "word":
        return TfidfVectorizer(stop_words="english", binary=True, max_features=25_000)
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=50_000)


def write_matrix(x, path):
    """The layout that examples/bench_sparse.rs reads."""
    with open(path, "wb") as file:
        np.array([x.shape[0], x.shape[1], x.nnz], "<u8").tofile(file)
        x.indptr.astype("<u8").tofile(file)
        x.indices.astype("<u4").tofile(file)
        x.data.astype("<f8").tofile(file)


def only_one_found(ours, theirs, rows, k, threshold):
    """How many pairs only one has, and how far the worst of them lies from a border."""
    key = lambda row, neighbour: row.astype(np.int64) * rows + neighbour
    a, b = key(ours["row"], ours["neighbour"]), key(theirs[0], theirs[1])
    count = np.bincount(ours["row"], minlength=rows)
    last = np.full(rows, np.inf)
    np.minimum.at(last, ours["row"], ours["score"])
    full = count >= k
    worst, different = 0.0, 0
    for keys, other, scores in ((a, b, ours["score"]), (b, a, theirs[2])):
        alone = ~np.isin(keys, other)
        row, score = keys[alone] // rows, scores[alone]
        away = np.abs(score - threshold)
        away = np.where(full[row], np.minimum(away, np.abs(score - last[row])), away)
        different += int(alone.sum())
        worst = max(worst, float(away.max(initial=0.0)))
    return different, worst


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    args.add_argument("--rows", type=int, default=70_000)
    args.add_argument("--kind", choices=["word", "char"], default="word")
    args.add_argument("-k", type=int, default=50)
    args.add_argument("--thresholds", default="0.0,0.3,0.6")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--seed", type=int, default=7)
    args.add_argument("--border", type=float, default=1e-5)
    args.add_argument("--bench", default="target/release/examples/bench_sparse")
    args = args.parse_args()

    x = vectorizer(args.kind).fit_transform(made_up_titles(args.rows, args.seed)).tocsr()
    x.sort_indices()
    single = x.astype(np.float32)
    transposed = single.T.tocsr()
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    good = True
    with tempfile.TemporaryDirectory() as folder:
        matrix, pairs = os.path.join(folder, "x.bin"), os.path.join(folder, "pairs.bin")
        write_matrix(x, matrix)
        for threshold in [float(t) for t in args.thresholds.split(",")]:
            command = [args.bench, matrix, str(args.k), str(threshold), "1"]

            def ours(*more):
                run = subprocess.run(command + list(more), env=environment, check=True, stdout=subprocess.PIPE)
                return json.loads(run.stdout)["seconds"][0]

            def theirs():
                start = time.perf_counter()
                found = sparse_dot_topn.sp_matmul_topn(
                    single, transposed, top_n=args.k, threshold=threshold, sort=True, n_threads=args.threads
                )
                return time.perf_counter() - start, found

            ours(pairs)  # warms up, and leaves the pairs to compare
            found = theirs()[1].tocoo()
            mine = np.fromfile(pairs, [("row", "<u4"), ("neighbour", "<u4"), ("score", "<f8")])
            different, worst = only_one_found(
                mine, (found.row, found.col, found.data), args.rows, args.k, threshold
            )
            good &= worst <= args.border
            seconds = {"doppel": [], "sparse_dot_topn": []}
            for _ in range(args.rounds):
                seconds["doppel"].append(ours())
                seconds["sparse_dot_topn"].append(theirs()[0])
            median = {name: statistics.median(all) for name, all in seconds.items()}
            report = {
                "what": f"top-{args.k} of {args.kind} TF-IDF by cosine",
                "rows": args.rows,
                "features": x.shape[1],
                "values": int(x.nnz),
                "threads": args.threads,
                "threshold": threshold,
                "rounds": args.rounds,
                "pairs": len(mine),
                "pairs_of_one_only": different,
                "farthest_from_border": worst,
                "agree": worst <= args.border,
            }
            for name, all in seconds.items():
                report[name] = {"median_s": median[name], "min_s": min(all), "max_s": max(all)}
            report["ratio"] = median["sparse_dot_topn"] / median["doppel"]
            print(json.dumps(report), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""doppel's TF-IDF beside scikit-learn's, in turns, on the same titles already in memory.

usage: cargo build --release --example bench_tfidf
       tfidf.py [--titles 70000] [--rounds 15] [--threads 2] [--program target/release/examples/bench_tfidf]

Needs numpy, scipy and scikit-learn. Prints one JSON object: the median, least and most seconds of each
side, their ratio (scikit-learn's median over doppel's), and how far the matrices lie apart. The titles are
made up: words by Zipf's law, 5 to 15 in a title, near-duplicates in groups. Both use English stop words,
binary counts, the 25,000 most frequent terms, smooth idf and the L2 norm. Terms that tie at the cut are
scikit-learn's choice and doppel's own, so values are compared with scikit-learn on doppel's terms.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--titles", type=int, default=70000)
ap.add_argument("--rounds", type=int, default=15)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--seed", type=int, default=1)
ap.add_argument("--from-file", help="titles from a file, one a line, rather than made-up ones")
HERE = os.path.dirname(os.path.abspath(__file__))
ap.add_argument("--program", default=os.path.join(HERE, "..", "..", "target", "release", "examples", "bench_tfidf"))
A = ap.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(A.threads)

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

OPTIONS = dict(stop_words="english", binary=True)
LIMIT = 25000


def titles(count, seed):
    """Made-up marketplace titles."""
    r = np.random.default_rng(seed)
    consonants, vowels, ends = list("bcdghjklmnprstwy"), list("aeiou"), ["", "", "", "n", "ng", "s", "k", "t"]
    common = ("the for with and new promo original free case baju sepatu tas wanita pria anak murah susu bubuk sabun "
              "muka botol minum lampu kabel set pcs gr ml kg hitam putih merah biru samsung xiaomi soft jacket mini").split()
    words, seen = list(common), set(common)
    while len(words) < 40000:
        w = "".join(r.choice(consonants) + r.choice(vowels) for _ in range(r.integers(2, 5))) + r.choice(ends)
        if r.random() < 0.12:
            w = w[:3] + str(r.integers(1, 999))
        if w not in seen:
            seen.add(w)
            words.append(w)
    p = 1 / (np.arange(len(words)) + 2.7) ** 1.05
    cumulative, words = np.cumsum(p / p.sum()), np.array(words, dtype=object)
    pick = lambda n: list(words[np.minimum(np.searchsorted(cumulative, r.random(n)), len(words) - 1)])
    out = []
    while len(out) < count:
        base = pick(int(r.integers(5, 16)))
        for _ in range(min(50, 1 + int(r.geometric(0.32)))):
            w = list(base)
            for _ in range(int(r.integers(0, 4))):
                at = int(r.integers(0, len(w)))
                if r.random() < 0.5:
                    w[at] = pick(1)[0]
                elif len(w) > 5:
                    w.pop(at)
            if r.random() < 0.3:
                r.shuffle(w)
            s = " ".join(w)
            s = s.title() if r.random() < 0.4 else s
            if r.random() < 0.2:
                s += f" - {r.integers(1, 500)} {r.choice(['ml', 'gr', 'pcs', 'cm'])}"
            out.append(s)
    return [out[i] for i in r.permutation(len(out))[:count]]


def apart(rows, ours):
    """The largest difference from scikit-learn on the terms that a stable cut keeps."""
    whole = TfidfVectorizer(**OPTIONS).fit(rows).get_feature_names_out()
    totals = np.asarray(CountVectorizer(vocabulary=whole, **OPTIONS).transform(rows).sum(axis=0)).ravel()
    kept = whole[np.sort(np.argsort(-totals, kind="stable")[:LIMIT])]
    theirs = sp.csr_matrix(TfidfVectorizer(vocabulary=list(kept), **OPTIONS).fit_transform(rows))
    theirs.sort_indices()
    same = (ours.shape == theirs.shape and np.array_equal(ours.indptr, theirs.indptr)
            and np.array_equal(ours.indices, theirs.indices))
    return float(abs(ours.data - theirs.data).max()) if same else "other terms"


def stats(seconds):
    return {"median": round(statistics.median(seconds), 5), "least": round(min(seconds), 5), "most": round(max(seconds), 5)}


def main():
    rows = open(A.from_file, encoding="utf-8").read().split("\n") if A.from_file else titles(A.titles, A.seed)
    with tempfile.TemporaryDirectory() as folder:
        path, matrix = os.path.join(folder, "titles.txt"), os.path.join(folder, "ours.npz")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(rows))
        environment = dict(os.environ, RAYON_NUM_THREADS=str(A.threads))
        ours = subprocess.Popen([A.program, path, matrix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

        def run_ours():
            ours.stdin.write("\n")
            ours.stdin.flush()
            return json.loads(ours.stdout.readline())

        def run_theirs():
            start = time.perf_counter()
            fitted = TfidfVectorizer(max_features=LIMIT, **OPTIONS)
            fitted.fit_transform(rows)
            return time.perf_counter() - start

        run_ours(), run_theirs()
        mine, his = [], []
        for _ in range(A.rounds):
            mine.append(run_ours()["seconds"])
            his.append(run_theirs())
        last = run_ours()
        ours.stdin.close()
        ours.wait()
        print(json.dumps({
            "bench": "tfidf fit_transform", "titles": len(rows), "features": last["features"], "nnz": last["nnz"],
            "threads": A.threads, "rounds": A.rounds, "doppel_s": stats(mine), "sklearn_s": stats(his),
            "ratio": round(statistics.median(his) / statistics.median(mine), 2),
            "largest_difference": apart(rows, sp.load_npz(matrix)),
            "sklearn": sklearn.__version__, "numpy": np.__version__, "python": sys.version.split()[0],
        }))


main()

#!/usr/bin/env python3
"""Exact dense top-k: doppel beside FAISS IndexFlatIP, in turns, on the same vectors and cores.

    cargo build --release --example bench_topk
    python3 benches/peers/topk.py --rows 34250 --dims 512 -k 50 --rounds 7 --threads 2

Needs numpy and faiss-cpu. Each side is a process of its own that loads the vectors once and then
searches on demand, one side after the other, so that neither runs while the other does and each
has its own peak memory. Only the search is timed: for doppel everything it does with the matrix in
memory (checks, packing, search, lists), for FAISS `index.search` alone (its index is filled
before). The first answers of both are compared: neighbour sets must agree up to ties, that is,
where they differ, the f64 scores of the rows that differ lie within the rounding error of an f32
dot product of the k-th score. Prints one JSON object.

--data gauss: unit rows of standard normal numbers. --data groups: the same, but every group of 8
consecutive rows is one such row with a little noise (near duplicates, cosine about 0.99).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np


def vectors(rows, dims, data, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dims), dtype=np.float32)
    if data == "groups":
        noise = np.float32(0.1)
        x = noise * x + x[np.arange(rows) // 8 * 8]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.ascontiguousarray(x, dtype=np.float32)


def peak_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def faiss_worker(path, rows, dims, k, threads):
    """Answers every line on standard input with one search, as examples/bench_topk.rs does."""
    import faiss

    faiss.omp_set_num_threads(threads)
    x = np.fromfile(path, dtype=np.float32).reshape(rows, dims)
    index = faiss.IndexFlatIP(dims)
    index.add(x)
    for line in sys.stdin:
        start = time.perf_counter()
        scores, found = index.search(x, k)
        seconds = time.perf_counter() - start
        if line.strip():
            with open(line.strip(), "wb") as out:
                found.astype(np.uint32).tofile(out)
                scores.astype(np.float64).tofile(out)
        answer = {"seconds": seconds, "peak_bytes": peak_bytes(), "faiss": faiss.__version__}
        print(json.dumps(answer), flush=True)


class Side:
    def __init__(self, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)

    def search(self, path=""):
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def answer(path, rows, k):
    found = np.fromfile(path, dtype=np.uint32, count=rows * k).reshape(rows, k)
    scores = np.fromfile(path, dtype=np.float64, offset=4 * rows * k).reshape(rows, k)
    return found, scores


def compare(x, ours, theirs, k):
    """Rows whose sets are equal, rows that differ by ties alone, rows that differ beyond them."""
    found, scores = ours
    other = theirs[0]
    tolerance = x.shape[1] * 2.0**-24
    equal = ties = wrong = 0
    for i in range(len(x)):
        differ = np.setxor1d(found[i], other[i])
        if differ.size == 0:
            equal += 1
            continue
        a = x[i].astype(np.float64)
        b = x[differ].astype(np.float64)
        exact = b @ a / np.sqrt((b * b).sum(1) * (a @ a))
        if np.all(np.abs(exact - scores[i, k - 1]) <= tolerance):
            ties += 1
        else:
            wrong += 1
    return {"equal": equal, "ties": ties, "wrong": wrong}


def spread(seconds):
    return {
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "rounds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=34250)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", choices=["gauss", "groups"], default="gauss")
    parser.add_argument("--ours", default="target/release/examples/bench_topk")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        faiss_worker(args.worker, args.rows, args.dims, args.k, args.threads)
        return

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.f32")
        x = vectors(args.rows, args.dims, args.data, args.seed)
        x.tofile(path)
        shape = [str(args.rows), str(args.dims), str(args.k)]
        ours = Side([args.ours, path, *shape], args.threads)
        options = ["--rows", shape[0], "--dims", shape[1], "-k", shape[2]]
        options += ["--threads", str(args.threads), "--worker", path]
        theirs = Side([sys.executable, os.path.abspath(__file__), *options], args.threads)
        # The first search of each is not counted: it warms up, and its answer is compared.
        answers = [os.path.join(folder, name) for name in ("ours", "theirs")]
        ours.search(answers[0])
        theirs.search(answers[1])
        agreement = compare(x, *(answer(a, args.rows, args.k) for a in answers), args.k)
        times = {"ours": [], "faiss": []}
        for _ in range(args.rounds):
            first = ours.search()
            times["ours"].append(first["seconds"])
            second = theirs.search()
            times["faiss"].append(second["seconds"])
        ours.close()
        theirs.close()
    report = {
        "work": f"exact top-{args.k} of {args.rows} x {args.dims}, {args.data}, self-join",
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.processor() or platform.machine(),
        "threads": args.threads,
        "kernel": first["kernel"],
        "faiss": second["faiss"],
        "agreement_rows": agreement,
        "seconds": {name: spread(seconds) for name, seconds in times.items()},
        "peak_bytes": {"ours": first["peak_bytes"], "faiss": second["peak_bytes"]},
        "ratio_of_medians": statistics.median(times["faiss"]) / statistics.median(times["ours"]),
        "ratio_in_turns": statistics.median(
            [f / o for f, o in zip(times["faiss"], times["ours"])]
        ),
    }
    print(json.dumps(report, indent=1))
    if agreement["wrong"]:
        sys.exit("neighbour sets differ beyond ties")


if __name__ == "__main__":
    main()

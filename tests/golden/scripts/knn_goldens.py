#!/usr/bin/env python3
"""Writes what the tests of the k-nearest-neighbours classifier compare with: tests/golden/data/knn.json.

usage: knn_goldens.py

Made-up titles as counts and as TF-IDF, and made-up embeddings; leave one out with scikit-learn's KNeighborsClassifier
(brute force, equal weights), Euclidean and cosine. Where rows are equally far at the k-th place scikit-learn takes any of
them; such answers are left out (null). The committed file was made with scikit-learn 1.9.1.
"""
import json
import os
import random

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
MOST = 12


def titles(count, rng):
    words = [f"word{i}" for i in range(30)]
    base, out, labels = None, [], []
    for i in range(count):
        if i % 4 == 0:
            base = rng.choices(words, k=7)
        out.append(" ".join(w for w in base + rng.choices(words, k=4) if rng.random() > 0.2) or "word0")
        labels.append(rng.choice([3, 20, 100]) if rng.random() < 0.1 else 7 * (i // 4) % 23)
    return out, labels


def answers(x, labels, metric):
    distances = pairwise_distances(x, metric=metric)
    labels = np.array(labels)
    out = []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        near = np.sort(distances[i, others])
        row = []
        for k in range(1, MOST + 1):
            if k < len(near) and near[k] - near[k - 1] < 1e-9:
                row.append(None)
                continue
            model = KNeighborsClassifier(n_neighbors=k, metric=metric, algorithm="brute").fit(x[others], labels[others])
            row.append(int(model.predict(x[[i]])[0]))
        out.append(row)
    return out


def main():
    rng = random.Random(5)
    texts, labels = titles(48, rng)
    gen = np.random.default_rng(5)
    centres = gen.normal(size=(12, 6))
    dense = (centres[np.arange(48) // 4] * gen.uniform(0.5, 2, (48, 1)) + gen.normal(size=(48, 6)) * 0.6).astype(np.float32)
    spaces = {"counts": CountVectorizer().fit_transform(texts).astype(float), "tfidf": TfidfVectorizer().fit_transform(texts), "dense": dense.astype(float)}
    cases = []
    for name, x in spaces.items():
        for metric in ("euclidean", "cosine"):
            found = answers(x, labels, metric)
            told = sum(a is not None for row in found for a in row)
            print(name, metric, told, "of", len(found) * MOST, "answers are told")
            cases.append({"space": name, "metric": metric, "answers": found})
    golden = {"titles": texts, "labels": labels, "dense": [[float(v) for v in row] for row in dense], "most": MOST, "cases": cases}
    with open(os.path.join(ROOT, "tests/golden/data/knn.json"), "w", encoding="utf-8", newline="\n") as f:
        json.dump(golden, f)
        f.write("\n")


if __name__ == "__main__":
    main()

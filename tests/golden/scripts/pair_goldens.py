#!/usr/bin/env python3
"""Writes what the tests of the pair classifier compare with: tests/golden/data/pair.json, by NumPy alone.

usage: pair_goldens.py

The naive classifier of Gupta, Lee and Kim: each listing's photo and title vectors, each of unit length, side by side; the
signed difference of the earlier and the later listing of a pair; two fully connected layers with a ReLU between them; a
sigmoid over one value, or a softmax over two. The matches are the pairs whose probability is above 0.5.
The committed file was made with NumPy 2.4.6.
"""
import json
import os

import numpy as np

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
LISTINGS, PHOTO, TITLE, INNER, GALLERY = 14, 5, 4, 11, 6


def unit(x):
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)


def probabilities(x, y, w):
    """Of x[i] - y[j], all of them."""
    difference = x[:, None, :] - y[None, :, :]
    hidden = np.maximum(difference @ w["fc1.weight"].T + w["fc1.bias"], 0)
    out = hidden @ w["fc2.weight"].T + w["fc2.bias"]
    if out.shape[-1] == 1:
        return 1 / (1 + np.exp(-out[..., 0]))
    out = np.exp(out - out.max(-1, keepdims=True))
    return out[..., 1] / out.sum(-1)


def main():
    rng = np.random.default_rng(7)
    f32 = lambda x: x.astype(np.float32)
    photo, title = f32(rng.normal(size=(LISTINGS + GALLERY, PHOTO))), f32(rng.normal(size=(LISTINGS + GALLERY, TITLE)))
    photo[3] = 0  # a listing without a photo
    x = np.concatenate([unit(photo.astype(float)), unit(title.astype(float))], axis=1)
    ours, gallery = x[:LISTINGS], x[LISTINGS:]
    cases = []
    for classes in (1, 2):
        w = {
            "fc1.weight": f32(rng.normal(size=(INNER, PHOTO + TITLE))), "fc1.bias": f32(rng.normal(size=INNER)),
            "fc2.weight": f32(rng.normal(size=(classes, INNER))), "fc2.bias": f32(rng.normal(size=classes) - [1.0, -1.0][classes - 1]),
        }
        wide = {name: value.astype(float) for name, value in w.items()}
        directed = probabilities(ours, ours, wide)
        joined = np.triu(directed, 1) + np.triu(directed, 1).T  # the earlier listing first
        np.fill_diagonal(joined, 1)
        against = probabilities(ours, gallery, wide)
        matches = [[i] + sorted((j for j in range(LISTINGS) if j != i and joined[i, j] > 0.5), key=lambda j: -joined[i, j]) for i in range(LISTINGS)]
        cases.append({
            "weights": {name: {"shape": list(value.shape), "values": [float(v) for v in value.ravel()]} for name, value in w.items()},
            "directed": directed.ravel().tolist(), "joined": joined.ravel().tolist(), "against": against.ravel().tolist(), "matches": matches,
        })
        print(classes, "classes:", sum(len(m) - 1 for m in matches), "of", LISTINGS * (LISTINGS - 1), "match")
    rows = lambda m: [[float(v) for v in row] for row in m]
    golden = {"photo": rows(photo), "title": rows(title), "listings": LISTINGS, "gallery": GALLERY, "cases": cases}
    with open(os.path.join(ROOT, "tests/golden/data/pair.json"), "w", encoding="utf-8", newline="\n") as f:
        json.dump(golden, f)
        f.write("\n")


if __name__ == "__main__":
    main()

"""The seeded weights, images and titles of src/nn/formula.rs and its parts, bit for bit. Needs NumPy."""

import math

import numpy as np

STEP = np.uint64(0x9E3779B97F4A7C15)
ONE = 16777216.0
IMAGES = 6


def fnv(key):
    h = 0xCBF29CE484222325
    for b in key.encode():
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def whole(seed, i):
    """Odd whole numbers between -2^24 and 2^24, for an array of counters."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + (np.asarray(i, np.uint64) + np.uint64(1)) * STEP
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return 2 * (z >> np.uint64(40)).astype(np.int64) + 1 - (1 << 24)


def tensor(key, dims, stats):
    layer, _, part = key.rpartition(".")
    squeeze = ".se." in key
    m = whole(fnv(key), np.arange(math.prod(dims)))
    u = m.astype(np.float64) / ONE
    mean, sigma = stats.get(layer, (0.0, 1.0))
    if part == "weight" and len(dims) in (2, 4):
        depth = math.prod(dims[1:])
        by = math.sqrt(3.0 * (16.0 if squeeze else 2.0) / depth)
        m = m.reshape(dims[0], depth)
        total = m.sum(1, keepdims=True) if depth > 1 else 0
        x = (m * depth - total).astype(np.float64) / (depth * ONE) * by
    elif part == "weight" and len(dims) == 3:
        x = 0.5 * u
    elif part in ("weight", "gain"):
        x = 1.0 + 0.25 * u
    elif part == "bias":
        x = 0.5 * u if "conv" in layer else 0.5 + 0.2 * u
    elif part == "running_mean":
        x = mean + sigma * (0.1 * u)
    elif part == "running_var":
        x = sigma * sigma * (1.0 + 0.25 * u)
    elif part == "p":
        x = 3.0 + 0.25 * u
    else:
        x = u
    return x.astype(np.float32).reshape(dims)


def wave(t):
    return 4.0 * np.abs(t - np.floor(t) - 0.5) - 1.0


def image(which, size):
    """[3, size, size]: channels first, as PyTorch has them."""
    seed = fnv(f"image.{which}")
    c, y, x = np.meshgrid(np.arange(3), np.arange(size), np.arange(size), indexing="ij")

    def noise(c, y, x):
        return whole(seed, (c * 65536 + y) * 65536 + x).astype(np.float64) / ONE

    v, u, k = (y + 0.5) / size, (x + 0.5) / size, c.astype(np.float64)
    if which == 0:
        waves = wave(x / 5.0 + y / 11.0 + 0.25 * k) * wave(y / 7.0)
        value = 0.5 * (u + v - 1.0) + 0.9 * waves + 0.3 * noise(c, y, x)
    elif which == 1:
        value = 1.2 * noise(c, y, x)
    elif which == 2:
        value = 0.9 * noise(c, y // 3, x // 3) + (0.15 * k - 0.15)
    elif which == 3:
        far = (u - 0.5) * (u - 0.5) + (v - 0.5) * (v - 0.5)
        value = wave(x / 3.7 + y / 9.0 + 0.1 * k) * (1.2 - 1.5 * far) + 0.25 * noise(c, y, x)
    elif which == 4:
        n, blob = noise(c, y, x), wave(u + 0.2) * wave(3.0 * v)
        value = 0.6 * (blob * blob) + 1.6 * (n * n * n) + np.array([0.3, -0.1, -0.4])[c]
    else:
        edge = np.where(u + 0.5 * v > 0.8, 0.4, -0.3)
        value = 0.9 * noise(0 * c, y, x) + edge
    return value.astype(np.float32)


TITLES = (3, 7, 16, 17, 33, 61)


def text(key, dims, piece=1 << 20):
    """A weight of a text encoder, in pieces of float32: a third of a billion values take no gigabytes."""
    layer, _, part = key.rpartition(".")
    seed, count = fnv(key), math.prod(dims)
    meets = layer.endswith((".query", ".key", ".q_lin", ".k_lin"))
    first, by = 0.0, 0.5 if meets else 0.1
    if layer.startswith("embeddings.") and len(dims) == 2:
        by = 0.05
    elif len(dims) == 2:
        mixes = layer.endswith((".value", ".v_lin", ".attention.output.dense", ".out_lin"))
        by = math.sqrt(3.0 * (3.0 if meets else 0.25 if mixes else 1.0) / dims[1])
    elif part == "weight":
        first, by = 1.0, 0.25
    for start in range(0, count, piece):
        u = whole(seed, np.arange(start, min(start + piece, count))).astype(np.float64) / ONE
        yield (first + by * u).astype(np.float32)


def title(which, vocabulary):
    """Token ids: between a first and a last token that all titles share, any but the first four."""
    m = whole(fnv(f"title.{which}"), np.arange(1, TITLES[which] - 1))
    return [4, *(5 + ((m + (1 << 24)) // 2 * (vocabulary - 6) >> 24)).tolist(), vocabulary - 1]

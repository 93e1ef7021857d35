"""Writes data/recipes.json: what each published system answers on made-up vectors, by NumPy alone.

Run: python tests/golden/scripts/recipes_goldens.py  (needs numpy)

Nothing here reads a recipe file. The settings below were typed from the papers a second time, and the
formulas are this script's own reading of them: full matrices of cosines, one listing after the other.

The vectors come from a small generator that the test repeats: a space's vectors depend on its name, and
all spaces share the groups. No comparison may lie within NEAR of its threshold, so that rounding cannot
decide one; the script fails otherwise, and SEED is then to be changed.
"""

import json
import pathlib

import numpy as np

SEED = 44
ROWS = 120
DIMS = 16
NEAR = 2e-6
PAIR_BIAS = -0.5
SPREAD = [0.15, 0.35, 0.6, 0.9, 1.3]
MASK = (1 << 64) - 1


def fnv(text):
    """FNV-1a of a text, with SEED mixed in."""
    h = 0xCBF29CE484222325 ^ SEED
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def group_of(row):
    """Groups of 1, 2, 3, 4 and 5 listings, over and over."""
    start, group = 0, 0
    while True:
        size = group % 5 + 1
        if row < start + size:
            return group
        start, group = start + size, group + 1


def vectors(name):
    """The vectors of the space `name`: a centre a group, and noise of several widths around it."""
    state = fnv(name)
    offset = state % 5

    def draw():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        return (state >> 40) / 16777216.0 - 0.5

    x = np.zeros((ROWS, DIMS), dtype=np.float32)
    centre, last = None, -1
    for row in range(ROWS):
        if group_of(row) != last:
            last = group_of(row)
            centre = [draw() for _ in range(DIMS)]
        spread = SPREAD[(row * 7 + offset) % 5]
        for d in range(DIMS):
            x[row, d] = np.float32(5.0 * (centre[d] + spread * draw()))
    return x.astype(np.float64)


def clash(i, j):
    """Whether two titles tell of other quantities: those of every seventh listing are of 200 gr."""
    return (i % 7 == 0) != (j % 7 == 0)


def hashes():
    """Every third group shares a hash; the others' are their own."""
    named = [
        f"g{group_of(i)}" if group_of(i) % 3 == 0 else f"i{i}" for i in range(ROWS)
    ]
    return [fnv(name) for name in named]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def cosines(x):
    u = unit(x)
    s = np.clip(u @ u.T, -1.0, 1.0)
    np.fill_diagonal(s, 1.0)
    return s


class Tight(Exception):
    """A comparison that rounding could decide."""


class Near:
    """The neighbours of each listing: the best `k` of a matrix of similarities."""

    def __init__(self, s, k=50, clash=lambda i, j: False):
        self.s = s
        order = [sorted(range(ROWS), key=lambda j, i=i: (-s[i, j], j)) for i in range(ROWS)]
        self.best = [[j for j in row[:k] if not clash(i, j)] for i, row in enumerate(order)]

    def below(self, i, d):
        """The others with 1 - s < d."""
        found = set()
        for j in self.best[i]:
            if j != i:
                distance = 1.0 - self.s[i, j]
                if abs(distance - d) < NEAR:
                    raise Tight(f"{distance} and {d}")
                if distance < d:
                    found.add(j)
        return found

    def nearest(self, i):
        others = [j for j in self.best[i] if j != i]
        return others[0], 1.0 - self.s[i, others[0]]


# Rules: each gives the set of others that listing i matches.


def under(near, d):
    return lambda i: near.below(i, d)


def above(near, s):
    return under(near, 1.0 - s)


def union(*rules):
    return lambda i: set().union(*(rule(i) for rule in rules))


def both(a, b):
    return lambda i: a(i) & b(i)


def equal(values):
    return lambda i: {j for j in range(ROWS) if j != i and values[j] == values[i]}


def reciprocal(rule):
    return lambda i: {j for j in rule(i) if i in rule(j)}


def min2(rule, near, d):
    def answer(i):
        found = rule(i)
        if found:
            return found
        j, distance = near.nearest(i)
        if abs(distance - d) < NEAR:
            raise Tight(f"{distance} and {d}")
        return {j} if distance < d else set()

    return answer


def dt(*swept):
    """Tan, section 3.3: thresholds loosen together until the listing has found another."""

    def answer(i):
        t = 0
        while True:
            found = set()
            for near, low, high, step in swept:
                found |= near.below(i, min(low + t * step, high))
            at_the_end = all(low + t * step >= high for _, low, high, step in swept)
            if found or at_the_end:
                return found
            t += 1

    return answer


def alpha_qe(x, k, alpha, shift=0.0):
    """Equation 2: the mean of the k nearest rows, each weighted by its similarity to the power alpha."""
    u, s = unit(x), cosines(x)
    out = np.zeros_like(u)
    for i in range(ROWS):
        top = sorted(range(ROWS), key=lambda j: (j != i, -s[i, j], j))[:k]
        out[i] = sum((shift + max(s[i, j], 0.0)) ** alpha * u[j] for j in top) / k
    return unit(out)


def blend(x, d, d2=None, by=None, clash=lambda i, j: False):
    """Neighbourhood blending: the sum of the neighbours by their similarities, itself with 1."""
    u = unit(x)
    near = Near(by if by is not None else cosines(x), clash=clash)
    out = np.zeros_like(u)
    for i in range(ROWS):
        found = near.below(i, d)
        if not found and d2 is not None:
            j, distance = near.nearest(i)
            if abs(distance - d2) < NEAR:
                raise Tight(f"{distance} and {d2}")
            found = {j} if distance < d2 else set()
        out[i] = u[i] + sum((max(near.s[i, j], 0.0) * u[j] for j in sorted(found)), np.zeros(DIMS))
    return unit(out)


def side_by_side(*parts):
    """Unit rows times their weights, side by side, and of unit length again."""
    return unit(np.hstack([w * unit(x) for x, w in parts]))


def average(*xs):
    return sum(cosines(x) for x in xs) / len(xs)


def either(x, y):
    a, b = np.maximum(cosines(x), 0.0), np.maximum(cosines(y), 0.0)
    return a + b - a * b


V = vectors


def N(name):
    return Near(cosines(V(name)))


def answers():
    """Each recipe's rule."""
    r = {}

    # Tan.
    image, tfidf, bert = (0.24, 0.50, 0.01), (0.25, 0.50, 0.20), (0.08, 0.30, 0.01)
    photo, words, title = N("photo"), N("words"), N("title")
    plain = union(under(photo, 0.24), under(words, 0.25))
    for name in ["b3", "resnext50", "b4", "b5", "nfnet"]:
        r[f"tan-{name}"] = plain
    pair = Near(average(V("resnext50"), V("b3")))
    r["tan-resnext50-b3-avg"] = union(under(pair, 0.24), under(words, 0.25))
    pair = Near(cosines(side_by_side((V("resnext50"), 1.0), (V("b3"), 1.0))))
    r["tan-resnext50-b3-concat"] = union(under(pair, 0.24), under(words, 0.25))
    two = side_by_side((V("b5"), 0.8), (V("nfnet"), 1.0))
    cascade, expanded = Near(cosines(two)), Near(cosines(alpha_qe(two, 2, 3.0)))
    r["tan-b5-nfnet-concat"] = union(under(cascade, 0.24), under(words, 0.25))
    r["tan-dt-1"] = plain
    r["tan-dt-2"] = union(dt((photo, *image)), dt((words, *tfidf)))
    r["tan-dt-3"] = union(dt((photo, *image)), under(words, 0.25))
    r["tan-dt-4"] = dt((photo, *image), (words, *tfidf))
    r["tan-dt-5"] = union(dt((photo, *image), (words, *tfidf)), under(title, 0.08))
    r["tan-dt-6"] = dt((photo, *image), (words, *tfidf), (title, *bert))
    for number, near in [(1, cascade), (2, expanded)]:
        r[f"tan-qe-{number}"] = union(dt((near, *image)), under(words, 0.25))
    for number, near in [(3, cascade), (4, expanded)]:
        r[f"tan-qe-{number}"] = dt((near, *image), (words, *tfidf), (title, *bert))
    three = side_by_side((V("b3"), 0.7), (V("b5"), 0.8), (V("nfnet"), 1.0))
    final = Near(cosines(alpha_qe(three, 2, 3.0)))
    r["tan-final"] = dt((final, *image), (words, *tfidf), (title, *bert))

    # Yang: threshold; threshold and Min2; those of the blend, then those of the blended rows.
    yang = {
        "resnet50": ("photo", 0.39, (0.39, 0.425), (0.39, 0.425, 0.12, 0.155)),
        "resnext50": ("photo", 0.41, (0.38, 0.48), (0.38, 0.48, 0.18, 0.18)),
        "densenet121": ("photo", 0.42, (0.39, 0.435), (0.42, 0.455, 0.10, 0.14)),
        "b3": ("photo", 0.45, (0.45, 0.525), (0.45, 0.525, 0.13, 0.14)),
        "nfnet": ("photo", 0.44, (0.44, 0.545), (0.44, 0.545, 0.14, 0.14)),
        "mbert": ("title", 0.40, (0.40, 0.495), (0.40, 0.495, 0.20, 0.20)),
        "indobert": ("title", 0.33, (0.33, 0.40), (0.33, 0.40, 0.16, 0.20)),
        "distilbert": ("title", 0.37, (0.37, 0.43), (0.36, 0.405, 0.12, 0.15)),
        "xlmr": ("title", 0.41, (0.38, 0.46), (0.41, 0.49, 0.12, 0.145)),
        "distilroberta": ("title", 0.41, (0.42, 0.50), (0.41, 0.485, 0.15, 0.18)),
        "tfidf": ("words", 0.59, (0.59, 0.67), None),
    }
    for name, (space, one, (d, d2), inb) in yang.items():
        near = N(space)
        r[f"yang-{name}"] = under(near, one)
        r[f"yang-{name}-min2"] = min2(under(near, d), near, d2)
        if inb:
            d, d2, e, e2 = inb
            blended = Near(cosines(blend(V(space), d, d2)))
            r[f"yang-{name}-inb"] = min2(under(blended, e), blended, e2)
    images = Near(average(*map(V, ["resnet50", "resnext50", "densenet121", "b3", "nfnet"])))
    texts = Near(average(*map(V, ["mbert", "indobert", "distilbert", "xlmr", "distilroberta"])))

    def plain_and_min2(name, *parts):
        r[f"yang-{name}"] = union(*(under(near, d) for near, d, _ in parts))
        r[f"yang-{name}-min2"] = union(*(min2(under(near, d), near, d2) for near, d, d2 in parts))

    plain_and_min2("image-ensemble", (images, 0.44, 0.53))
    plain_and_min2("text-ensemble", (texts, 0.41, 0.58))
    plain_and_min2("tfidf-resnet-union", (words, 0.59, 0.67), (photo, 0.39, 0.425))
    plain_and_min2("nfnet-sbert-union", (title, 0.41, 0.49), (photo, 0.44, 0.545))
    plain_and_min2("tfidf-resnet-ensemble", (Near(average(V("photo"), V("words"))), 0.58, 0.765))
    plain_and_min2("nfnet-sbert-ensemble", (Near(average(V("photo"), V("title"))), 0.50, 0.63))
    plain_and_min2("text-image-union", (texts, 0.41, 0.58), (images, 0.44, 0.53))

    # Chaudhari and Sen.
    chars = N("chars")
    r["chaudhari-b3-bert"] = union(under(photo, 0.30), under(title, 0.10))
    mix = union(under(photo, 0.30), under(title, 0.10), under(words, 0.25), under(chars, 0.25))
    for name in ["b3-bert-tfidf", "nfnet-mish", "resnext50", "b3", "b5-ns"]:
        r[f"chaudhari-{name}"] = mix

    # Gupta, Lee and Kim.
    r["gupta-image"] = above(photo, 0.90)
    r["gupta-text"] = above(title, 0.80)
    r["gupta-both"] = above(Near(cosines(side_by_side((V("photo"), 1), (V("title"), 1)))), 0.81)

    r["gupta-naive"] = naive(V("photo"), V("title"))

    # The five authors: the nearest one (k = 1), if its cosine is above 0.
    for name, space in [("tfidf", "words"), ("counts", "words"), ("word2vec", "words"), ("image", "photo"), ("colours", "colours")]:
        r[f"five-authors-{name}"] = min2(lambda i: set(), N(space), 1.0)

    leaders(r)
    others(r)
    return r


def naive(photo, title):
    """The classifier of pairs: weights from the generator, the earlier listing less the later one."""
    state = fnv("pair")

    def draws(count):
        nonlocal state
        out = []
        for _ in range(count):
            state = (state * 6364136223846793005 + 1442695040888963407) & MASK
            out.append(np.float32((state >> 40) / 16777216.0 - 0.5))
        return np.array(out, dtype=np.float64)

    inner = 24
    first, bias = draws(inner * 2 * DIMS).reshape(inner, 2 * DIMS), draws(inner)
    last = draws(inner)
    x = np.concatenate([unit(photo), unit(title)], axis=1)
    # The bias of the second layer is such that few pairs match.
    hidden = np.maximum((x[:, None, :] - x[None, :, :]) @ first.T + bias, 0)
    odds = hidden @ last + PAIR_BIAS
    if (np.abs(odds) < NEAR).any():
        raise Tight("the pair classifier")
    return lambda i: {j for j in range(ROWS) if j != i and odds[min(i, j), max(i, j)] > 0}


def leaders(r):
    words = N("words")
    equal_hashes = equal(hashes())

    # 2nd: expanded by the two nearest (itself one of them), weights s^0.5, beside the row as it was; pairs
    # that both listings have.
    image = side_by_side((V("nfnet"), 1), (V("deit"), 1))
    texts = side_by_side((V("indobert"), 1), (V("mbert"), 1), (V("xlmr"), 1))
    spaces = [image, texts, side_by_side((texts, 1), (image, 1))]
    img, brt, bth = (Near(cosines(beside(x))) for x in spaces)
    r["place2"] = reciprocal(
        union(under(img, 0.30), under(brt, 0.30), under(bth, 0.35), under(words, 0.35))
    )

    # 5th: the candidates' rule, over rows averaged with weights (2 - d)^0.5.
    title = side_by_side((V("title1"), 1), (V("title2"), 1))
    joint = alpha_qe(side_by_side((V("photo"), 1), (title, 1)), 2, 0.5, shift=1.0)
    r["place5"] = under(Near(cosines(joint)), 0.37)

    # 6th: two of three.
    photo = side_by_side((V("photo1"), 1), (V("photo2"), 1))
    p, t = Near(cosines(photo)), Near(cosines(title))
    b = Near(cosines(side_by_side((photo, 1), (title, 1))))
    p3, t3, b3 = under(p, 0.30), under(t, 0.30), under(b, 0.30)
    r["place6-b3"] = min2(union(both(p3, t3), both(p3, b3), both(t3, b3)), b, 0.60)

    # 11th: (a / .84)^6 + (b / .84)^6 > 1, at most 42, and the nearest one for a listing left alone.
    a = np.maximum(cosines(V("photo")), 0.0) / 0.84
    b = np.maximum(cosines(side_by_side((V("xlmr"), 1), (V("distilbert"), 1))), 0.0) / 0.84
    power = a**6 + b**6
    if (np.abs(power / (1.0 + power) - 0.5) < NEAR).any():
        raise Tight("the power rule")

    def eleventh(i):
        found = {j for j in range(ROWS) if j != i and power[i, j] > 1.0}
        if len(found) > 41:
            raise Tight("more than 42 matches")
        if not found:
            found = {max((j for j in range(ROWS) if j != i), key=lambda j: power[i, j])}
        return found

    r["place11"] = eleventh

    # 16th: five rules, and the nearest of both together for a listing left alone.
    photo = N("photo")
    mean = Near(average(V("photo"), V("words")))
    five = union(
        above(photo, 0.85),
        above(words, 0.85),
        both(above(photo, 0.65), above(words, 0.30)),
        both(above(words, 0.60), above(photo, 0.30)),
        above(mean, 0.55),
    )
    r["place16"] = min2(five, mean, 2.0)

    # 18th: a + b - ab, blended once by its own neighbours; no pairs of other quantities.
    graph = either(V("plain_photo"), V("plain_title"))
    blended = [blend(V(name), 0.03, 0.40, graph, clash) for name in ["photo", "title"]]
    joint = Near(either(*blended))
    eighteenth = min2(above(joint, 0.97), joint, 1.0 - 0.60)
    r["place18"] = lambda i: {j for j in eighteenth(i) if not clash(i, j)}

    # Deotte: Euclidean below 6 of vectors as they are, TF-IDF above .7, equal hashes.
    x = V("photo")
    d = np.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(axis=2))
    if (np.abs(d / 6.0 - 1.0) < NEAR).any():
        raise Tight("Euclidean distances")
    euclidean = lambda i: {j for j in range(ROWS) if j != i and d[i, j] < 6.0}  # noqa: E731
    r["deotte"] = union(equal_hashes, euclidean, above(words, 0.7))


def beside(x):
    return side_by_side((x, 1), (alpha_qe(x, 2, 0.5), 1))


def others(r):
    """The recipes that no paper has."""
    equal_hashes = equal(hashes())
    r["default"] = union(equal_hashes, dt((N("tfidf"), 0.25, 0.50, 0.20)))
    titles = Near(cosines(side_by_side((V("words"), 1), (V("letters"), 1))))
    r["doppel"] = union(equal_hashes, reciprocal(min2(under(titles, 0.25), titles, 0.58)))
    photo = blend(blend(V("photo"), 0.30, 0.50), 0.20, 0.30)
    words = blend(V("words"), 0.40, 0.60)
    mean = Near(average(photo, words))
    rule = union(under(Near(cosines(photo)), 0.30), under(Near(cosines(words)), 0.40), under(mean, 0.35))
    r["inb"] = min2(rule, mean, 0.60)
    joint = average(V("plain_photo"), V("plain_title"))
    photo, title = (blend(V(name), 0.10, 0.40, joint) for name in ["photo", "title"])
    power = np.maximum(cosines(photo), 0) ** 6 / 0.84**6 + np.maximum(cosines(title), 0) ** 6 / 0.84**6
    near = [Near(cosines(photo)), Near(cosines(title))]
    r["joint"] = union(
        equal_hashes,
        under(Near(either(photo, title)), 0.12),
        above(Near(power / (1.0 + power)), 0.5),
        reciprocal(both(under(near[0], 0.35), under(near[1], 0.30))),
    )


def main():
    lines = []
    for name, rule in sorted(answers().items()):
        try:
            rows = [sorted(rule(i) | {i}) for i in range(ROWS)]
        except Tight as tight:
            raise SystemExit(f"{name}: {tight}: change SEED")
        if max(map(len, rows)) > 49:
            raise SystemExit(f"{name}: a listing has more than 49 matches: the cut would show")
        text = "|".join(" ".join(map(str, row)) for row in rows)
        pairs = sum(map(len, rows)) - ROWS
        lines.append(f'{{"name":"{name}","pairs":{pairs},"matches":"{text}"}}')
        print(name, pairs, sum(len(row) == 1 for row in rows))
    out = pathlib.Path(__file__).parents[1] / "data" / "recipes.json"
    head = {"seed": SEED, "rows": ROWS, "dims": DIMS, "pair_bias": PAIR_BIAS, "numpy": np.__version__}
    head = json.dumps(head)[1:-1]
    out.write_text("{" + head + ',\n"recipes":[\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()

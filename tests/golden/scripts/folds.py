"""Writes data/folds.json: the folds of scikit-learn's GroupKFold for small random groups.

Run: python tests/golden/scripts/folds.py  (needs numpy and scikit-learn)

Where two groups have the same size, which goes first depends on numpy's sort; `distinct` marks the
cases without such ties, whose folds are settled. The sizes of the folds are settled in all.
"""

import json
import pathlib
import random

import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold


def folds(groups, k):
    of_row = np.zeros(len(groups), dtype=int)
    for fold, (_, rows) in enumerate(GroupKFold(k).split(groups, groups=groups)):
        of_row[rows] = fold
    return of_row.tolist()


def main():
    rng = random.Random(17)
    cases = []
    for number in range(24):
        k = rng.choice([2, 3, 5, 7])
        distinct = number % 2 == 0
        kinds = rng.randrange(k, 12 if distinct else 30)
        sizes = range(1, 40) if distinct else [1, 1, 1, 2, 2, 2, 3, 4, 6, 9]
        sizes = rng.sample(sizes, kinds) if distinct else rng.choices(sizes, k=kinds)
        groups = [group for group, size in enumerate(sizes) for _ in range(size)]
        rng.shuffle(groups)
        cases.append(
            {"k": k, "distinct": distinct, "groups": groups, "folds": folds(groups, k)}
        )
    made_by = {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    text = f'{{"made_by":{json.dumps(made_by)},"cases":[\n{lines}\n]}}\n'
    out = pathlib.Path(__file__).parents[1] / "data" / "folds.json"
    out.write_text(text)


if __name__ == "__main__":
    main()

"""Makes tests/golden/data/tsne: rows, and what scikit-learn's TSNE makes of them.

Run: python tests/golden/scripts/tsne.py (numpy, scikit-learn)
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.manifold import TSNE, trustworthiness

here = Path(__file__).resolve().parent.parent / "data" / "tsne"
here.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(5)
centres = random.normal(size=(12, 16))
rows = np.repeat(centres, 25, axis=0) + 0.35 * random.normal(size=(300, 16))
# A thread between two of them, so that not all is blobs.
rows[:25] = centres[0] + np.linspace(0, 1, 25)[:, None] * (centres[1] - centres[0]) + 0.05 * random.normal(size=(25, 16))
rows = rows.astype("<f4")
rows.tofile(here / "rows.f32")
model = TSNE(perplexity=30, init="pca", learning_rate="auto", random_state=0, method="barnes_hut", angle=0.5, max_iter=1000)
made = model.fit_transform(rows)
golden = {
    "made_by": f"scikit-learn {sklearn.__version__}",
    "trustworthiness": {str(k): float(trustworthiness(rows, made, n_neighbors=k)) for k in (5, 12)},
    "divergence": float(model.kl_divergence_),
    "map": [[round(float(x), 4), round(float(y), 4)] for x, y in made],
}
(here / "sklearn.json").write_text(json.dumps(golden) + "\n")
print(golden["made_by"], golden["trustworthiness"], golden["divergence"])

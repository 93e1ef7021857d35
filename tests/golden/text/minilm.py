"""Makes minilm/: 1,000 made-up titles, and what sentence-transformers says of them with all-MiniLM-L6-v2.

    python tests/golden/text/minilm.py

Needs sentence-transformers, NumPy and the model in target/minilm (`cargo xtask minilm`). Writes

    titles.json     the titles, and their token ids with the first and last of all
    vectors.f32     little-endian [title, 384], each of length 1, in float32 as encode() gives them
"""

import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer

import titles

OUT = Path(__file__).resolve().parent / "minilm"
MODEL = Path(__file__).resolve().parents[3] / "target" / "minilm"
ODD = [
    "", " ", "\t\n", "a", "!", "[CLS]", "[MASK] [SEP] [UNK] [PAD]", "\u0000\u0001\ufffd", "\u200b\u200d\ufeff", "\u00ad" * 5,
    "e\u0301 é \u1e9e ß ŉ", "ｆｕｌｌ　ｗｉｄｔｈ", "ﬁ ﬀ ½ ²", "手" * 300, "x" * 300, "1" * 101, "word " * 400, "😀" * 300,
    "👨‍👩‍👧‍👦 👍🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "don't can't l'eau", "a-b_c/d\\e|f", "ไทยไม่มีช่องว่าง", "हिन्दी में", "\U00020000\U0002a6df", "İIıi ΣΑΣ", "…—–‘’“”",
]


def every():
    made = [titles.title(f"minilm {i}") for i in range(1000 - len(ODD))]
    # Some are longer than any encoder reads.
    for i in range(0, len(made), 90):
        made[i] = " ".join(titles.title(f"long {i} {part}") for part in range(25))
    return made + ODD


def main():
    torch.set_num_threads(2)
    OUT.mkdir(exist_ok=True)
    model = SentenceTransformer(str(MODEL), device="cpu")
    texts = every()
    assert len(texts) == 1000
    ids = [model[0].preprocess([text])["input_ids"][0].tolist() for text in texts]
    lines = ",\n".join(json.dumps([text, ids]) for text, ids in zip(texts, ids))
    (OUT / "titles.json").write_text(f"[\n{lines}\n]\n")
    vectors = model.encode(texts, batch_size=32, normalize_embeddings=True)
    (OUT / "vectors.f32").write_bytes(vectors.astype("<f4").tobytes())
    exact = model.double().encode(texts, batch_size=32, normalize_embeddings=True)
    lengths = [len(i) for i in ids]
    print(f"{min(lengths)} to {max(lengths)} tokens, {np.mean(lengths):.1f} in the mean, {sum(n == 256 for n in lengths)} of 256")
    print(f"float32 is within {np.abs(vectors - exact).max():.1e} of float64")
    versions = {"sentence-transformers": sentence_transformers, "transformers": transformers, "torch": torch, "numpy": np}
    (OUT / "versions.txt").write_text("".join(f"{k} {v.__version__}\n" for k, v in versions.items()))


if __name__ == "__main__":
    main()

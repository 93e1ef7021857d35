"""Makes the references of tests/models/text.rs: what transformers' own models say of seeded weights and titles.

    python tests/golden/text/make.py [NAME...]

Needs transformers, PyTorch and NumPy; versions.txt says which ones made the committed files. All is
computed in float64, one title at a time, with attention as it is written down ("eager"). configs/ has
each model's config.json as published. Writes

    features/NAME.f32   little-endian [pool, title, value]: the last hidden state's first token, then
                        its mean
    shapes.zip          each model's weights: key and shape
    counts.json         how many parameters each model has, pooler included
    bits.json           SHA-256 of what formula.py gives, to hold the Rust formula to it
"""

import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModel

OUT = Path(__file__).resolve().parent
sys.path.insert(0, str(OUT.parent / "models"))

import formula

NAMES = sorted(path.stem for path in (OUT / "configs").glob("*.json"))


def config(name):
    fields = json.loads((OUT / "configs" / f"{name}.json").read_text())
    return CONFIG_MAPPING[fields.pop("model_type")](**fields)


def build(name, dtype):
    with torch.device("meta"):
        model = AutoModel.from_config(config(name), attn_implementation="eager", dtype=dtype)
    return model.eval()


@torch.no_grad()
def fill(model):
    model.to_empty(device="cpu")
    for key, value in model.named_parameters():
        flat, at = value.view(-1), 0
        for piece in formula.text(key, tuple(value.shape)):
            flat[at : at + len(piece)] = torch.from_numpy(piece)
            at += len(piece)
    for key, value in model.named_buffers():
        if key.endswith("position_ids"):
            value.copy_(torch.arange(value.shape[-1]).expand(value.shape))
        elif key.endswith("token_type_ids"):
            value.zero_()
        else:
            raise ValueError(f"what is {key}?")


@torch.no_grad()
def make_features(name):
    model = build(name, torch.float64)
    fill(model)
    rows = []
    for which in range(len(formula.TITLES)):
        ids = torch.tensor([formula.title(which, model.config.vocab_size)])
        last = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        rows.append(torch.stack([last[0], last.mean(0)]))
    rows = torch.stack(rows, 1)
    off = (rows - rows.mean(1, keepdim=True)).abs().amax((1, 2))
    print(f"{name}: first tokens and means {off[0]:.3g} and {off[1]:.3g} apart, at most {rows.abs().max():.3g}", flush=True)
    (OUT / "features" / f"{name}.f32").write_bytes(rows.numpy().astype("<f4").tobytes())


def make_shapes():
    counts = {}
    with zipfile.ZipFile(OUT / "shapes.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name in NAMES:
            weights = list(build(name, torch.float32).named_parameters())
            counts[name] = sum(w.numel() for _, w in weights)
            text = "".join(f"{k} {list(v.shape)}\n".replace(", ", ",") for k, v in weights)
            out.writestr(zipfile.ZipInfo(f"{name}.txt", (2000, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    (OUT / "counts.json").write_text(json.dumps(counts, indent=0) + "\n")
    versions = {"transformers": transformers, "torch": torch, "numpy": np}
    (OUT / "versions.txt").write_text("".join(f"{k} {v.__version__}\n" for k, v in versions.items()))


def make_bits():
    """Hashes of the formula's bytes, of each kind of weight at least one, and of all titles."""
    bits = {}
    layer, distil = "encoder.layer.3.", "transformer.layer.2."
    for key, *dims in [
        ("embeddings.word_embeddings.weight", 2000, 384), ("embeddings.token_type_embeddings.weight", 1, 768),
        ("embeddings.LayerNorm.weight", 384), ("embeddings.LayerNorm.bias", 384),
        (layer + "attention.self.query.weight", 384, 384), (distil + "attention.q_lin.bias", 768), (layer + "attention.self.key.bias", 384),
        (layer + "attention.self.value.weight", 384, 384), (layer + "attention.output.dense.weight", 384, 384),
        (layer + "attention.output.LayerNorm.weight", 384), (layer + "intermediate.dense.weight", 1536, 384),
        (layer + "intermediate.dense.bias", 1536), (layer + "output.dense.weight", 384, 1536),
        (distil + "attention.k_lin.weight", 768, 768), (distil + "attention.v_lin.weight", 768, 768),
        (distil + "attention.out_lin.weight", 768, 768), (distil + "sa_layer_norm.weight", 768),
        (distil + "ffn.lin1.weight", 3072, 768), (distil + "ffn.lin2.bias", 768),
    ]:
        values = np.concatenate(list(formula.text(key, dims)))
        bits[" ".join(map(str, [key, *dims]))] = hashlib.sha256(values.tobytes()).hexdigest()
    for which in range(len(formula.TITLES)):
        for vocabulary in (30522, 250002):
            ids = np.array(formula.title(which, vocabulary), "<u4")
            bits[f"title {which} {vocabulary}"] = hashlib.sha256(ids.tobytes()).hexdigest()
    (OUT / "bits.json").write_text(json.dumps(bits, indent=0) + "\n")


def main():
    torch.set_num_threads(2)
    (OUT / "features").mkdir(exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        make_features(name)
    make_shapes()
    make_bits()


if __name__ == "__main__":
    main()

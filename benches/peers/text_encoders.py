#!/usr/bin/env python3
"""Text encoders: doppel beside ONNX Runtime and sentence-transformers in fp32, in turns, on the same
cores.

    cargo build --release --example bench_titles
    python3 benches/peers/text_encoders.py --model minilm bert-base --tokens 64 --batch 32 --rounds 9
    python3 benches/peers/text_encoders.py --folder FOLDER --titles 4000 --rounds 5

Needs torch, transformers, onnx, onnxscript and onnxruntime; with --folder sentence-transformers.
--model: random weights, titles of one length, token ids in and vectors out; ONNX Runtime runs the
model that transformers exports, optimised by onnxruntime.transformers (fused attention, GELU and
layer norms), with the mask of full length, and the plain export too: the faster of the two counts.
--folder: a Hugging Face folder, from text to pooled vectors (sentence-transformers also runs the
folder's other modules, such as Normalize), over made-up product titles of --mean words on average
(no two alike), the same file for both sides; sentence-transformers runs `encode` with the batch
sizes of --batches, of which the fastest counts. Each side is a process of its own that gets ready
once and then answers on demand, one side after the other. Prints one JSON object a case; answers
are compared by the tests (tests/models/minilm.rs), not here.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

CONFIGS = {
    "minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
}
COMMON = dict(model_type="bert", vocab_size=30522, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="gelu")

BRANDS = "sony philips samsung xiaomi wardah maybelline garnier nivea unilever sunsilk pampers mamypoko indomie frisian bear".split()
GOODS = "baju kaos celana sepatu sandal tas ransel dompet jam tangan masker kain popok bayi susu bubuk minyak goreng sampo sabun cair lipstik matte bedak serum wajah charger kabel casing headset speaker bluetooth lampu led piring gelas panci wajan rak dinding sprei bantal selimut".split()
EXTRA = "original murah promo ready stock import premium terbaru pria wanita anak dewasa tebal tipis halus besar kecil isi ulang free ongkir bisa cod bpom garansi resmi warna hitam putih merah biru motif polos ukuran jumbo travel size best seller grosir satuan".split()


def product_titles(count, mean, seed=7):
    """Titles of a made-up marketplace, no two alike, with lengths spread around `mean` words."""
    rng = random.Random(seed)
    found = set()
    while len(found) < count:
        words = max(2, round(rng.lognormvariate(0, 0.45) * mean / 1.1))
        title = [rng.choice(BRANDS)] + [rng.choice(GOODS) for _ in range(rng.randint(1, 3))]
        while len(title) < words:
            kind = rng.random()
            if kind < 0.6:
                title.append(rng.choice(EXTRA))
            elif kind < 0.8:
                title.append(rng.choice(GOODS))
            else:
                title.append(f"{rng.randint(1, 999)}{rng.choice(['ml', 'gr', 'kg', 'cm', 'pcs', ''])}")
        found.add(" ".join(title[:words]))
    return sorted(found, key=lambda t: (hash_of(t), t))


def hash_of(text):
    h = 0
    for b in text.encode():
        h = (h * 131 + b) & 0xFFFFFFFF
    return h


def answer(run, **facts):
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps({"seconds": time.perf_counter() - start, **facts}), flush=True)


def onnx_model(config, tokens, folder):
    """Exports the model with random weights and optimises it; the file's path."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    own = BertConfig(**{k: v for k, v in config.items() if k != "model_type"}, attn_implementation="eager")
    net = BertModel(own, add_pooling_layer=False).eval()

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.net(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones(2, tokens, dtype=torch.int64)
    plain, best = os.path.join(folder, "model.onnx"), os.path.join(folder, "best.onnx")
    axes = {n: {0: "batch", 1: "tokens"} for n in [*names, "last_hidden_state"]}
    torch.onnx.export(Hidden(), (ids, ids, ids * 0), plain, input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False)
    from onnxruntime.transformers import optimizer

    made = optimizer.optimize_model(plain, model_type="bert", num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"], opt_level=1, use_gpu=False)
    fused = made.get_fused_operator_statistics()
    made.save_model_to_file(best)
    return plain, best, fused


def onnx_worker(path, vocabulary, tokens, batch, threads):
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ids = (np.arange(batch * tokens, dtype=np.int64) * 7919 % vocabulary).reshape(batch, tokens)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    feed = {i.name: feed[i.name] for i in session.get_inputs()}
    answer(lambda: session.run(None, feed), onnxruntime=ort.__version__)


def sentence_worker(folder, titles, batch, threads):
    import sentence_transformers
    import torch

    torch.set_num_threads(threads)
    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    lines = open(titles, encoding="utf-8").read().splitlines()
    run = lambda: model.encode(lines, batch_size=batch, show_progress_bar=False)
    answer(run, sentence_transformers=sentence_transformers.__version__, torch=torch.__version__)


class Side:
    def __init__(self, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def turns(sides, args):
    """Seconds of every side, one after the other in each round, and their last answers."""
    seconds, last = {name: [] for name in sides}, {}
    for i in range(args.warm + args.rounds):
        for name, side in sides.items():
            last[name] = side.run()
            if i >= args.warm:
                seconds[name].append(last[name]["seconds"])
    for side in sides.values():
        side.close()
    return seconds, last


def report(work, count, seconds, last, peers, args):
    fastest = min(peers, key=lambda p: statistics.median(seconds[p]))
    ratios = [t / o for o, t in zip(seconds["ours"], seconds[fastest])]
    facts = {k: v for side in last.values() for k, v in side.items() if k not in ("seconds", "tokens", "peak_bytes")}
    return {
        "work": work,
        "threads": args.threads,
        **facts,
        "titles_per_second": {k: round(count / statistics.median(v), 2) for k, v in seconds.items()},
        "tokens_a_title": round(last["ours"]["tokens"] / count, 2),
        "peak_bytes": last["ours"]["peak_bytes"],
        "seconds": {k: [round(s, 4) for s in v] for k, v in seconds.items()},
        "fastest_peer": fastest,
        "ratio_in_turns": round(statistics.median(ratios), 3),
    }


def here(*words):
    return [sys.executable, os.path.abspath(__file__), *map(str, words)]


def encoder(name, args):
    config = COMMON | CONFIGS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.json")
        with open(path, "w") as f:
            json.dump(config, f)
        plain, best, fused = onnx_model(config, args.tokens, folder)
        shape = [args.tokens, args.batch]
        worker = lambda file: here("--threads", args.threads, "--onnx", file, config["vocab_size"], *shape)
        sides = {
            "ours": Side([args.ours, path, *map(str, shape)], args.threads),
            "onnxruntime": Side(worker(plain), args.threads),
            "onnxruntime_optimized": Side(worker(best), args.threads),
        }
        seconds, last = turns(sides, args)
    work = f"{name}, {args.tokens} tokens, batch {args.batch}, fp32"
    found = report(work, args.batch, seconds, last, ["onnxruntime", "onnxruntime_optimized"], args)
    return found | {"fused": {k: v for k, v in fused.items() if v}}


def end_to_end(args):
    with tempfile.TemporaryDirectory() as folder:
        titles = os.path.join(folder, "titles.txt")
        with open(titles, "w", encoding="utf-8") as f:
            f.write("\n".join(product_titles(args.titles, args.mean)) + "\n")
        sides = {"ours": Side([args.ours, args.folder, titles], args.threads)}
        for batch in args.batches:
            command = here("--threads", args.threads, "--sentence", args.folder, titles, batch)
            sides[f"sentence_transformers_{batch}"] = Side(command, args.threads)
        seconds, last = turns(sides, args)
    work = f"{os.path.basename(args.folder.rstrip('/'))}, text to vectors, {args.titles} titles"
    return report(work, args.titles, seconds, last, [s for s in sides if s != "ours"], args)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="*", default=[], choices=[*CONFIGS, []])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--folder")
    parser.add_argument("--titles", type=int, default=4000)
    parser.add_argument("--mean", type=float, default=11.6)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ours", default="target/release/examples/bench_titles")
    parser.add_argument("--onnx", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--sentence", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.onnx:
        path, vocabulary, tokens, batch = args.onnx
        onnx_worker(path, int(vocabulary), int(tokens), int(batch), args.threads)
    elif args.sentence:
        folder, titles, batch = args.sentence
        sentence_worker(folder, titles, int(batch), args.threads)
    else:
        for name in args.model:
            print(json.dumps(encoder(name, args)), flush=True)
        if args.folder:
            print(json.dumps(end_to_end(args)), flush=True)


if __name__ == "__main__":
    main()

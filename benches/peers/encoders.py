#!/usr/bin/env python3
"""Image encoders: doppel beside PyTorch fp32 (timm), in turns, on the same cores.

    cargo build --release --example bench_encoder
    python3 benches/peers/encoders.py --arch resnet50 efficientnet_b0 --size 512 --batch 8 --rounds 5

Needs torch and timm. Each side is a process of its own that builds the encoder once (random
weights) and then runs a batch on demand, one side after the other, so that neither runs while the
other does. PyTorch runs channels_last in inference mode with the allocator tuned so that it does
not return memory between runs (else it spends half of its time in page faults at 512 px). Prints
one JSON object an encoder: images a second of both (medians), and the ratio in turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

TUNED = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.hugetlb=1"


def worker(arch, size, batch, threads):
    import timm
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    name = arch if arch in timm.list_models() else arch.replace("_ns", "")
    net = timm.create_model(name, pretrained=False, num_classes=0).eval()
    net = net.to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in sys.stdin:
            start = time.perf_counter()
            y = net(x)
            seconds = time.perf_counter() - start
            answer = {"seconds": seconds, "dims": y.shape[1]}
            answer |= {"torch": torch.__version__, "timm": timm.__version__}
            print(json.dumps(answer), flush=True)


class Side:
    def __init__(self, command, threads, tuned):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
        if tuned:
            env["GLIBC_TUNABLES"] = TUNED
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(arch, args):
    shape = [arch, str(args.size), str(args.batch)]
    ours = Side([args.ours, *shape], args.threads, False)
    here = [sys.executable, os.path.abspath(__file__), "--threads", str(args.threads)]
    theirs = Side([*here, "--worker", *shape], args.threads, True)
    times = {"ours": [], "torch": []}
    for i in range(args.warm + args.rounds):
        first, second = ours.run(), theirs.run()
        if i >= args.warm:
            times["ours"].append(first["seconds"])
            times["torch"].append(second["seconds"])
    ours.close()
    theirs.close()
    ratios = [t / o for o, t in zip(times["ours"], times["torch"])]
    return {
        "work": f"{arch}, {args.size} px, batch {args.batch}, fp32",
        "threads": args.threads,
        "kernel": first["kernel"],
        "torch": second["torch"],
        "timm": second["timm"],
        "images_per_second": {k: round(args.batch / statistics.median(v), 3) for k, v in times.items()},
        "gflops": first["gflops"],
        "peak_bytes": first["peak_bytes"],
        "seconds": {k: [round(s, 4) for s in v] for k, v in times.items()},
        "ratio_in_turns": round(statistics.median(ratios), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", default=["resnet50"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ours", default="target/release/examples/bench_encoder")
    parser.add_argument("--worker", nargs=3, metavar=("ARCH", "SIZE", "BATCH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        arch, size, batch = args.worker
        worker(arch, int(size), int(batch), args.threads)
        return
    for arch in args.arch:
        print(json.dumps(measure(arch, args)), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""JPEG files to RGB to SIZE x SIZE pixels, bilinear and antialiased: doppel beside torchvision, in turns.

    cargo build --release --example bench_decode
    python3 benches/peers/decode.py FOLDER_OF_JPEGS [--side 640] [--size 512] [--files 200] [--rounds 9] [--threads 2]

Needs torch, torchvision, Pillow and NumPy. --side 0 takes the files as they are; another number makes pictures of that many
pixels on a side out of them first, four side by side and cut, saved by Pillow at quality 85 (4:2:0), so that they are as
detailed as photographs. All files are read into memory before. Each side is a process of its own (torchvision: as many threads
or processes as --threads, whichever is faster in a first round; one torch thread each) and works when the other does not.
torchvision's is `io.decode_jpeg` and `transforms.v2.functional.resize(antialias=True)` on uint8. --step decode leaves out the
resizing. Prints one JSON object with medians and the ratio (rival's seconds / doppel's), and checks that the pixels agree
within one level (two after resizing, which torchvision rounds otherwise).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor


def work(data, step, size):
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional as F

    image = decode_jpeg(data, mode=ImageReadMode.RGB)
    return image if step == "decode" else F.resize(image, [size, size], antialias=True)


def rival(folder, size, step, threads, way):
    """Answers every line on standard input with one round, as examples/bench_decode.rs does."""
    import torch
    import torchvision

    torch.set_num_threads(1)
    names = sorted(os.listdir(folder))
    files = [torch.frombuffer(bytearray(open(os.path.join(folder, n), "rb").read()), dtype=torch.uint8) for n in names]

    def part(number):
        for data in files[number::threads]:
            work(data, step, size)

    children = []
    if way == "processes":
        # This process is one of them.
        for number in range(1, threads):
            ask, asked = os.pipe()
            tell, told = os.pipe()
            if os.fork() == 0:
                os.close(asked)
                os.close(tell)
                while os.read(ask, 1):
                    part(number)
                    os.write(told, b"x")
                os._exit(0)
            os.close(ask)
            os.close(told)
            children.append((asked, tell))
    else:
        pool = ThreadPoolExecutor(threads)
    for line in sys.stdin:
        start = time.perf_counter()
        if way == "processes":
            for asked, _ in children:
                os.write(asked, b"x")
            part(0)
            for _, tell in children:
                os.read(tell, 1)
        else:
            list(pool.map(part, range(threads)))
        seconds = time.perf_counter() - start
        if line.strip():
            with open(line.strip(), "wb") as out:
                for data in files[:64]:
                    out.write(work(data, step, size).permute(1, 2, 0).contiguous().numpy().tobytes())
        print(json.dumps({"seconds": seconds, "torchvision": torchvision.__version__, "torch": torch.__version__}), flush=True)


class Side:
    def __init__(self, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS="1", RAYON_NUM_THREADS=str(threads))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)

    def round(self, path=""):
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def pictures(source, target, side, count):
    """Writes the files that both read."""
    from PIL import Image

    names = sorted(n for n in os.listdir(source) if n.lower().endswith((".jpg", ".jpeg")))
    if side == 0:
        for name in names[:count]:
            with open(os.path.join(source, name), "rb") as file, open(os.path.join(target, name), "wb") as copy:
                copy.write(file.read())
        return
    opened = [Image.open(os.path.join(source, n)).convert("RGB") for n in names[: count + 3]]
    for number in range(count):
        tile = (side + 1) // 2
        whole = Image.new("RGB", (2 * tile, 2 * tile))
        for place in range(4):
            one = opened[(number + place) % len(opened)]
            if min(one.size) < tile:
                one = one.resize((tile, tile), Image.Resampling.BICUBIC)
            whole.paste(one.crop((0, 0, tile, tile)), (place % 2 * tile, place // 2 * tile))
        whole.crop((0, 0, side, side)).save(os.path.join(target, f"{number:05}.jpg"), quality=85)


def apart(ours, theirs):
    import numpy as np

    a, b = (np.fromfile(path, dtype=np.uint8).astype(int) for path in (ours, theirs))
    if a.size != b.size:
        sys.exit(f"{a.size} and {b.size} bytes")
    off = np.abs(a - b)
    return {"values": int(a.size), "equal": float((off == 0).mean()), "most": int(off.max(initial=0))}


def spread(seconds):
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "rounds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--step", choices=["decode", "resize"], default="resize")
    parser.add_argument("--ours", default="target/release/examples/bench_decode")
    parser.add_argument("--rival", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rival:
        rival(args.folder, args.size, args.step, args.threads, args.rival)
        return

    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "files")
        os.mkdir(folder)
        pictures(args.folder, folder, args.side, args.files)
        sizes = [os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)]
        ours = Side([args.ours, folder, str(args.size), args.step], args.threads)
        options = [folder, "--size", str(args.size), "--step", args.step, "--threads", str(args.threads)]
        ways = {}
        for way in ("threads", "processes"):
            side = Side([sys.executable, os.path.abspath(__file__), *options, "--rival", way], args.threads)
            side.round()
            ways[way] = (min(side.round()["seconds"] for _ in range(3)), side)
        way = min(ways, key=lambda name: ways[name][0])
        for name, (_, side) in ways.items():
            if name != way:
                side.close()
        theirs = ways[way][1]
        # The first round of each is not counted: it warms up, and its pixels are compared.
        paths = [os.path.join(scratch, name) for name in ("ours", "theirs")]
        ours.round(paths[0])
        last = theirs.round(paths[1])
        agreement = apart(*paths)
        times = {"ours": [], "torchvision": []}
        for _ in range(args.rounds):
            times["ours"].append(ours.round()["seconds"])
            times["torchvision"].append(theirs.round()["seconds"])
        ours.close()
        theirs.close()
    what = "decoded" if args.step == "decode" else f"decoded and resized to {args.size} x {args.size}"
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    report = {
        "work": f"{len(sizes)} JPEG files of {args.side or 'their'} pixels on a side, {what}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.processor() or platform.machine(),
        "threads": args.threads,
        "bytes_per_file": round(sum(sizes) / len(sizes)),
        "torchvision": last["torchvision"],
        "torch": last["torch"],
        "torchvision_runs_in": way,
        "agreement": agreement,
        "images_per_second": {name: round(len(sizes) / median, 1) for name, median in medians.items()},
        "seconds": {name: spread(seconds) for name, seconds in times.items()},
        "ratio_of_medians": medians["torchvision"] / medians["ours"],
        "ratio_in_turns": statistics.median([t / o for t, o in zip(times["torchvision"], times["ours"])]),
    }
    print(json.dumps(report, indent=1))
    if agreement["most"] > (1 if args.step == "decode" else 2):
        sys.exit("pixels differ")


if __name__ == "__main__":
    main()

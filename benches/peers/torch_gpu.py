#!/usr/bin/env python3
"""PyTorch on a card, on the engine's own shapes: encoders by timm (channels_last, half precision, torch.compile), products,
and matmul + topk; medians, random data, caches overwritten. One JSON object on stdout.

usage: torch_gpu.py [--arch NAME ...] [--batch 32] [--size 512] [--rows 70000] [--rounds 7] [--shapes RECORD.json]
       --shapes takes the products from a record of `engine bench --json`; --cpu tries it out on the CPU, in single precision
Ends with exit code 2 where there is no torch or no card, and says so.
"""
import argparse, json, statistics, sys, time

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('--arch', nargs='*', default=['resnet18', 'resnet50', 'resnext50_32x4d', 'densenet121', 'efficientnet_b0', 'efficientnet_b3', 'efficientnet_b5', 'eca_nfnet_l0'])
p.add_argument('--batch', type=int, default=32)
p.add_argument('--size', type=int, default=512)
p.add_argument('--rows', type=int, default=70_000)
p.add_argument('--rounds', type=int, default=7)
p.add_argument('--shapes', help="a record of engine bench: its products are timed too")
p.add_argument('--no-compile', action='store_true')
p.add_argument('--cpu', action='store_true')
a = p.parse_args()


def stop(why):
    print(f'error: {why}', file=sys.stderr)
    sys.exit(2)


try:
    import torch
except ImportError:
    stop('no PyTorch: python3 has no module torch')
if not a.cpu and not torch.cuda.is_available():
    stop('no CUDA device that PyTorch can use')
device = torch.device('cpu' if a.cpu else 'cuda')
dtype = torch.float32 if a.cpu else torch.float16
torch.manual_seed(0)
# More than the caches hold.
flush = torch.empty((16 if a.cpu else 256) << 20, dtype=torch.int8, device=device)


def microseconds(work, rounds=a.rounds, warm=3):
    """Each round's time: by the card's own clock between two events, on the CPU by the host's."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(rounds):
        flush.zero_()
        if a.cpu:
            start = time.perf_counter()
            work()
            times.append(1e6 * (time.perf_counter() - start))
            continue
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(1e3 * begin.elapsed_time(end))
    return times


def timed(**facts):
    times = facts.pop('times')
    return {**facts, 'microseconds': statistics.median(times), 'rounds': times}


def encoders():
    try:
        import timm
    except ImportError:
        print('note: no timm: encoders are left out', file=sys.stderr)
        return
    for arch in a.arch:
        net = timm.create_model(arch, num_classes=0).eval().to(device, dtype, memory_format=torch.channels_last)
        x = torch.rand(a.batch, 3, a.size, a.size, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
        for compiled in [False] if a.no_compile else [False, True]:
            run = torch.compile(net, mode='max-autotune') if compiled else net
            with torch.inference_mode():
                times = microseconds(lambda: run(x))
            yield timed(what='encoder', name=arch, batch=a.batch, size=a.size, compiled=compiled, times=times)


def products():
    if not a.shapes:
        return
    seen = set()
    for case in json.load(open(a.shapes))['results']:
        words = case['name'].split()
        if words[0] != 'gemm' or 'refused' in case:
            continue
        turned = next(w for w in words if w in ('nn', 'nt', 'tn', 'tt'))
        one, two = (tuple(map(int, w.split('x'))) for w in words[2:4])
        if (one, two, turned) in seen:
            continue
        seen.add((one, two, turned))
        x, y = (torch.rand(s, device=device).sub(0.5).to(dtype) for s in (one, two))
        x, y = (t.t() if letter == 't' else t for t, letter in zip((x, y), turned))
        yield timed(what='product', name=case['name'], times=microseconds(lambda: x @ y))


def searches():
    for dims in (512, 1536):
        x = torch.nn.functional.normalize(torch.randn(a.rows, dims, device=device), dim=1).to(dtype)
        k = min(50, a.rows)
        # As many rows at a time as leave their scores within 2 GiB.
        step = max(1, (2 << 30) // (a.rows * x.element_size()))

        def search():
            return [torch.topk(part @ x.t(), k, dim=1) for part in x.split(step)]

        yield timed(what='search', name=f'topk {a.rows}x{dims} top-50', times=microseconds(search, warm=1))


results = []
for part in (encoders, products, searches):
    for one in part():
        results.append(one)
        print(f"{one['microseconds']:12.2f} us  {one['name']}{' compiled' if one.get('compiled') else ''}", file=sys.stderr)
print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda, 'device': 'cpu' if a.cpu else torch.cuda.get_device_name(),
                  'dtype': str(dtype).removeprefix('torch.'), 'results': results}))

"""PyTorch's time for the layers that `cargo bench --bench conv` printed.

    cargo bench --bench conv -- "" 2 > layers.txt
    python benches/peers/conv_torch.py layers.txt [threads] [batch]

Prints the same lines with PyTorch's milliseconds an image and GFLOP/s, measured as the bench does:
with one thread the lower quartile of processor time, with more the best wall-clock time. A fair
allocator for PyTorch: GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000
"""

import sys
import time

import torch


def seconds(call, threads):
    clock = time.process_time if threads == 1 else time.perf_counter
    call()
    call()
    times, begin = [], clock()
    while clock() - begin < 0.5:
        start = clock()
        call()
        times.append(clock() - start)
    times.sort()
    return times[len(times) // 4 if threads == 1 else 0]


def main():
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    batch = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    torch.set_num_threads(threads)
    with open(sys.argv[1], encoding="utf-8") as lines:
        layers = [line.split() for line in lines if not line.startswith("#")]
    for layer in layers:
        side, channels, filters, kernel, stride, groups = map(int, layer[1:7])
        last = {"memory_format": torch.channels_last}
        x = torch.randn(batch, channels, side, side).to(**last)
        weight = torch.randn(filters, channels // groups, kernel, kernel).to(**last)
        bias = torch.randn(filters)
        pad = kernel // 2
        with torch.inference_mode():
            def call():
                return torch.nn.functional.conv2d(x, weight, bias, stride, pad, 1, groups)

            time_of_one = seconds(call, threads) / batch
            out = call().shape[2]
        flops = 2 * out * out * filters * (channels // groups) * kernel * kernel
        print(*layer[:7], f"{time_of_one * 1e3:.4f} {flops / time_of_one / 1e9:.1f}", flush=True)


main()

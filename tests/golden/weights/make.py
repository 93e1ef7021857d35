"""Makes the files of this folder: published weights as the safetensors package writes and reads them.

    python tests/golden/weights/make.py

Needs torch, NumPy and safetensors; versions.txt says which ones made the committed files. Writes

    plain.safetensors   save_file of tensors of every type that is read, and of some that are not
    odd.safetensors     the same tensors in another order, behind a header of odd length, so that no
                        tensor lies where its type wants it; checked by reading it with the package
    expected.json       for each tensor its type, its shape and its values as bits of float32
    part-1.safetensors, part-2.safetensors, model.safetensors.index.json
                        the same tensors spread over two files, with the index that Hugging Face writes
"""

import json
import struct
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file

OUT = Path(__file__).resolve().parent
rng = np.random.default_rng(4)


def edge(dtype):
    """Finite values at the edges of a type, both signs."""
    info = torch.finfo(dtype)
    values = [0.0, 1.0, 1 / 3, info.tiny, info.smallest_normal / 2, info.max, info.eps, 65504.0]
    both = torch.tensor([s * v for v in values for s in (1, -1)], dtype=torch.float64)
    # What is narrowed must stay finite, and may become a subnormal or zero.
    return both.clamp(-3.4e38, 3.4e38).to(dtype)


def some(*shape):
    return torch.from_numpy(rng.standard_normal(shape))


tensors = {
    "conv1.weight": some(5, 3, 3, 3).float(),
    "edge.f32": edge(torch.float32),
    "half.weight": some(7, 11).half(),
    "edge.f16": edge(torch.float16).clamp(-65504, 65504),
    "brain.weight": some(601).bfloat16(),
    "edge.bf16": edge(torch.bfloat16),
    "double.weight": some(2, 9),
    "edge.f64": torch.cat([edge(torch.float64), torch.tensor([1e-40, 1e-50, 16777217.0, 0.1])]),
    "scalar": torch.tensor(-0.0),
    "half.scalar": torch.tensor(2.5).half(),
    "empty": torch.zeros(0),
    "half.empty": torch.zeros(3, 0, 2).half(),
    "bn1.num_batches_tracked": torch.tensor(1234567890123),
    "position_ids": torch.arange(5).view(1, 5),
    "mask": torch.tensor([True, False, True]),
    "bytes": torch.arange(3, dtype=torch.uint8),
    "name with spaces, \"quotes\" and ünïcode": torch.ones(2),
}
NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64",
    torch.int64: "I64", torch.bool: "BOOL", torch.uint8: "U8",
}


def raw(tensor):
    flat = tensor.contiguous().view(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def write_odd(path):
    header = {"__metadata__": {"format": "pt"}}
    data = b""
    # Six bytes of single-byte types come first; after an odd header, what follows is at odd places.
    order = sorted(tensors, key=lambda n: (n not in ("bytes", "mask"), n))
    for name in order:
        tensor = tensors[name]
        bytes_ = raw(tensor)
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(bytes_)],
        }
        data += bytes_
    # The header's characters are not escaped here, unlike what the package writes.
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * ((len(text) + 1) % 2)
    assert len(text) % 2 == 1
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def same(path, wanted):
    found = load_file(path)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype and raw(found[name]) == raw(tensor), name


def main():
    save_file(tensors, OUT / "plain.safetensors", {"format": "pt"})
    write_odd(OUT / "odd.safetensors")
    same(OUT / "plain.safetensors", tensors)
    same(OUT / "odd.safetensors", tensors)
    names = sorted(tensors)
    weight_map = {}
    for part, of in [(1, names[::2]), (2, names[1::2])]:
        file = f"part-{part}.safetensors"
        save_file({n: tensors[n] for n in of}, OUT / file, {"format": "pt"})
        weight_map |= {n: file for n in of}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (OUT / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    expected = {}
    for name, tensor in tensors.items():
        entry = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape)}
        if tensor.dtype.is_floating_point:
            values = tensor.float().contiguous().view(-1)
            assert torch.isfinite(values).all(), name
            entry["bits"] = [f"{b & 0xFFFFFFFF:08x}" for b in values.view(torch.int32).tolist()]
        expected[name] = entry
    lines = ",\n".join(json.dumps({n: e}, ensure_ascii=False)[1:-1] for n, e in expected.items())
    (OUT / "expected.json").write_text("{\n" + lines + "\n}\n")
    for file in OUT.glob("*.safetensors"):
        file.chmod(0o644)
    (OUT / "versions.txt").write_text(
        f"numpy {np.__version__}\nsafetensors {safetensors.__version__}\ntorch {torch.__version__}\n"
    )


main()

"""Makes the references of tests/models: what timm's own models say of seeded weights and images.

    python tests/golden/models/make.py [stats] [features] [catalogue] [NAME...]

Needs timm, PyTorch and NumPy; versions.txt says which ones made the committed files. Statistics and
features at 75 pixels are computed in float64; features at larger sizes in float32, whose own error is
far below what the tests allow (each run prints it at 75 pixels). Writes

    stats/NAME.txt      each batch norm's mean and deviation over all channels, pixels and images, in
                        order, each layer fed by the calibrated ones before it, at 128 pixels
    features/NAME.f32   little-endian [size, image, feature]: at the model's own size, 512 and 75
                        pixels (variants: 75 alone)
    catalogue.json      what timm's resolve_data_config says of every name's default weights
    bits.json           SHA-256 of what formula.py gives, to hold the Rust formula to it
    shapes.zip          every name's weights but for classifier and counters: key and shape
"""

import hashlib
import json
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import timm
import torch
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg

import formula

OUT = Path(__file__).resolve().parent
ODD, CALIBRATED = 75, 128
TESTED = (
    "resnet18 resnet50 resnext50_32x4d densenet121 efficientnet_b0 efficientnet_b1 efficientnet_b2 "
    "efficientnet_b3 efficientnet_b4 efficientnet_b5 tf_efficientnet_b3 tf_efficientnet_b5_ns "
    "eca_nfnet_l0 eca_nfnet_l1"
).split()
VARIANTS = [
    ("efficientnet_b0", "mish"),
    ("eca_nfnet_l0", "mish"),
    ("resnet18", "gem"),
    ("efficientnet_b0", "gem"),
]
ALL = (
    TESTED[:10]
    + [f"tf_efficientnet_b{i}" for i in range(8)]
    + [f"tf_efficientnet_b{i}_ns" for i in range(8)]
    + TESTED[-2:]
)


def timm_name(name):
    return name[:-3] + ".ns_jft_in1k" if name.endswith("_ns") else name


class GeM(torch.nn.Module):
    """Radenovic et al. 2018, as most published code writes it."""

    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter(torch.full((1,), 3.0))

    def forward(self, x):
        x = x.clamp(min=1e-6).pow(self.p)
        return torch.nn.functional.avg_pool2d(x, x.shape[-2:]).pow(1.0 / self.p)


class Embedding(torch.nn.Module):
    """Pool, dropout, fully connected, batch norm."""

    def __init__(self, width):
        super().__init__()
        self.pool = GeM()
        self.dropout = torch.nn.Dropout(0.2)
        self.fc = torch.nn.Linear(width, 512)
        self.bn = torch.nn.BatchNorm1d(512)

    def forward(self, x):
        return self.bn(self.fc(self.dropout(self.pool(x).flatten(1))))


class Embedder(torch.nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.embed = Embedding(backbone.num_features)

    def forward(self, x):
        return self.embed(self.backbone.forward_features(x))


def swap_silu(module):
    """What replace_activations in users' code does."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.SiLU):
            setattr(module, name, torch.nn.Mish())
        else:
            swap_silu(child)


def build(name, variant=None):
    model = timm.create_model(timm_name(name), pretrained=False, num_classes=0)
    if variant == "mish":
        swap_silu(model)
    if variant == "gem":
        model = Embedder(model)
    return model.double().eval()


def ours(key):
    return key.removeprefix("backbone.")


def wanted(model):
    return [(k, v) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]


@torch.no_grad()
def fill(model, stats):
    for key, value in wanted(model):
        value.copy_(torch.from_numpy(formula.tensor(ours(key), tuple(value.shape), stats)))


def images(size):
    return torch.from_numpy(np.stack([formula.image(i, size) for i in range(formula.IMAGES)])).double()


@torch.no_grad()
def calibrate(model):
    """The statistics, by one pass in which each batch norm takes those of what it is fed."""
    fill(model, {})
    stats = {}

    def before(key):
        def hook(layer, args):
            x = args[0]
            mean, sigma = float(f"{x.mean().item():.5g}"), float(f"{x.std().item():.5g}")
            stats[key] = (mean, sigma)
            for part in ("running_mean", "running_var"):
                old = getattr(layer, part)
                new = formula.tensor(f"{key}.{part}", tuple(old.shape), stats)
                old.copy_(torch.from_numpy(new))

        return hook

    for key, layer in model.named_modules():
        if hasattr(layer, "running_mean"):
            layer.register_forward_pre_hook(before(ours(key)))
    model(images(CALIBRATED))
    return stats


def label(name, variant):
    return f"{name}.{variant}" if variant else name


def read_stats(name, variant):
    if "nfnet" in name:
        return {}
    lines = (OUT / "stats" / f"{label(name, variant)}.txt").read_text().splitlines()
    split = [line.split(" ") for line in lines]
    return {key: (float(mean), float(sigma)) for key, mean, sigma in split}


def make_stats(name, variant):
    if "nfnet" in name:
        return  # no batch norms
    stats = calibrate(build(name, variant))
    text = "".join(f"{k} {m:.5g} {s:.5g}\n" for k, (m, s) in stats.items())
    (OUT / "stats" / f"{label(name, variant)}.txt").write_text(text)


@torch.no_grad()
def make_features(name, variant):
    model = build(name, variant)
    fill(model, read_stats(name, variant))
    own = resolve_data_config(pretrained_cfg=get_pretrained_cfg(timm_name(name)).to_dict())["input_size"][1]
    # One image at a time: the reference does not depend on the batch.
    odd = torch.cat([model(x[None]) for x in images(ODD)])
    model.float()
    single = torch.cat([model(x[None].float()) for x in images(ODD)])
    rows = [] if variant else [torch.cat([model(x[None].float()) for x in images(s)]) for s in (own, 512)]
    off = (odd - odd.mean(0)).abs().max()
    rows.append(odd)
    rows = np.stack([r.float().numpy() for r in rows])
    error = (single - odd).abs().max() / off
    print(f"{label(name, variant)}: {off:.3g} apart, at most {odd.abs().max():.3g}, float32 within {error:.1e}", flush=True)
    (OUT / "features" / f"{label(name, variant)}.f32").write_bytes(rows.astype("<f4").tobytes())


def make_catalogue():
    """The names' settings and shapes; an _ns is the same network as without."""
    settings, shapes = {}, {}
    for name in ALL:
        cfg = get_pretrained_cfg(timm_name(name))
        data = resolve_data_config(pretrained_cfg=cfg.to_dict())
        with torch.device("meta"):
            model = timm.create_model(timm_name(name), pretrained=False, num_classes=0)
        shapes[name] = "".join(f"{k} {list(v.shape)}\n".replace(", ", ",") for k, v in wanted(model))
        settings[name] = {
            "published": cfg.hf_hub_id,
            "size": data["input_size"][1],
            "crop_pct": data["crop_pct"],
            "squash": {"center": False, "squash": True}[data["crop_mode"]],
            "filter": data["interpolation"],
            "mean": data["mean"],
            "std": data["std"],
            "width": model.num_features,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        if name.endswith("_ns"):
            assert shapes[name] == shapes[name[:-3]]
            del shapes[name]
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in settings.items())
    (OUT / "catalogue.json").write_text("{\n" + lines + "\n}\n")
    with zipfile.ZipFile(OUT / "shapes.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, text in shapes.items():
            out.writestr(zipfile.ZipInfo(f"{name}.txt", (2000, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    (OUT / "versions.txt").write_text(
        f"timm {timm.__version__}\ntorch {torch.__version__}\nnumpy {np.__version__}\n"
    )


def make_bits():
    """Hashes of the formula's f32 bytes: images channels last."""
    stats = {"bn1": (0.123, 1.7)}
    tensors = [
        ("conv1.weight", 64, 3, 7, 7), ("bn1.weight", 64), ("bn1.bias", 64), ("bn1.running_mean", 64),
        ("bn1.running_var", 64), ("stem.conv1.bias", 16), ("stem.conv1.gain", 16, 1, 1, 1),
        ("blocks.0.0.se.conv_reduce.weight", 8, 32, 1, 1), ("blocks.0.0.se.conv_reduce.bias", 8),
        ("embed.fc.weight", 512, 512), ("embed.fc.bias", 512), ("embed.pool.p", 1),
        ("stages.0.0.attn_last.conv.weight", 1, 1, 5), ("blocks.0.0.conv_dw.weight", 32, 1, 3, 3),
    ]
    bits = {}
    for key, *dims in tensors:
        values = formula.tensor(key, tuple(dims), stats)
        bits[" ".join(map(str, [key, *dims]))] = hashlib.sha256(values.tobytes()).hexdigest()
    for which in range(formula.IMAGES):
        for size in (75, 224):
            values = np.ascontiguousarray(formula.image(which, size).transpose(1, 2, 0))
            bits[f"image {which} {size}"] = hashlib.sha256(values.tobytes()).hexdigest()
    (OUT / "bits.json").write_text(json.dumps(bits, indent=0) + "\n")


def main():
    torch.set_num_threads(2)
    parts = [a for a in sys.argv[1:] if a in ("stats", "features", "catalogue")]
    names = [a for a in sys.argv[1:] if a not in parts]
    for part in ("stats", "features"):
        (OUT / part).mkdir(exist_ok=True)
    for name, variant in [(n, None) for n in TESTED] + VARIANTS:
        if names and label(name, variant) not in names:
            continue
        if not parts or "stats" in parts:
            make_stats(name, variant)
        if not parts or "features" in parts:
            make_features(name, variant)
    if not parts or "catalogue" in parts:
        make_catalogue()
        make_bits()


if __name__ == "__main__":
    main()

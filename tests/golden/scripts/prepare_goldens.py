"""Makes tests/golden/data/prepare: small pictures of all modes, and what Pillow and timm make of them.

    python tests/golden/scripts/prepare_goldens.py

Needs Pillow, NumPy, torch, torchvision and timm; versions.txt says which ones made the committed
files. Writes

    NAME.jpg, .png, .gif, .webp, .bmp   the pictures
    rgb.txt       file, sides and SHA-256 of convert("RGB"), sides and SHA-256 of the same after
                  ImageOps.exif_transpose
    lossy/NAME.png   the pixels of lossy WebP files, which need not be equal
    resized.txt   kind and sides of a picture by `made`, sides, filter, SHA-256 of Image.resize,
                  its first and its last pixel
    prepared.txt  kind and sides of a picture by `made`, size, crop_pct or "squash", filter, mean,
                  SHA-256 of timm's evaluation transform as little-endian f32 [size, size, 3]

16-bit grey is not Pillow's (which cuts at 255) but the high byte. The tests make the pictures of
resized.txt and prepared.txt by the same formula again.
"""

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent.parent / "data" / "prepare"
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def made(kind, width, height):
    """A picture by formula, in wrapping 32-bit integers; tests/golden/prepare.rs has the same."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint32)
    if kind == "ramp":
        value = x * 3 + y * 5 + c * 40
        return (value % 256).astype(np.uint8)
    h = x * np.uint32(0x9E3779B1) ^ y * np.uint32(0x85EBCA77) ^ (c + np.uint32(1)) * np.uint32(0xC2B2AE3D)
    for _ in range(2):
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x2C1B3C6D)
    noise = (h >> np.uint32(13)) & np.uint32(255)
    if kind == "noise":
        return noise.astype(np.uint8)
    if kind == "extremes":
        return ((noise & 1) * 255).astype(np.uint8)
    assert kind == "flat"
    return np.full((height, width, 3), 201, dtype=np.uint8)


def picture(width=23, height=17):
    """Shapes, edges and a little noise."""
    ramp = made("ramp", width, height).astype(int)
    noise = made("noise", width, height).astype(int) // 16
    return Image.fromarray(np.clip(ramp // 2 + noise + 40, 0, 255).astype(np.uint8))


def alpha(width=23, height=17):
    return Image.fromarray(made("noise", width, height)[:, :, 1])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def modes():
    p, a = picture(), alpha()
    grey = p.convert("L")
    for mode, image in {
        "l": grey,
        "la": Image.merge("LA", (grey, a)),
        "rgb": p,
        "rgba": Image.merge("RGBA", (*p.split(), a)),
        "1": p.convert("1"),
        "p": p.quantize(50),
        "p2": p.quantize(2),
        "p16": p.quantize(16),
        "i16": Image.fromarray(made("noise", 23, 17)[:, :, 0].astype(np.uint16) * 251 + 7),
    }.items():
        image.save(OUT / f"mode-{mode}.png")
    p.quantize(50).save(OUT / "mode-p-key.png", transparency=5)
    p.quantize(50).save(OUT / "mode-p-keys.png", transparency=bytes(range(0, 250, 5)))
    p.save(OUT / "mode-rgb-key.png", transparency=p.getpixel((0, 0)))
    grey.save(OUT / "mode-l-key.png", transparency=grey.getpixel((3, 3)))
    grey.save(OUT / "mode-l.jpg")
    p.save(OUT / "mode-rgb.jpg", quality=90)
    p.save(OUT / "mode-rgb-progressive.jpg", quality=90, progressive=True)
    p.convert("CMYK").save(OUT / "mode-cmyk.jpg")
    for image, name in ((p, "rgb"), (grey, "l"), (p.convert("1"), "1"), (p.quantize(50), "p")):
        image.save(OUT / f"bitmap-{name}.bmp")
    Image.merge("RGBA", (*p.split(), a)).save(OUT / "bitmap-rgba.bmp")
    p.save(OUT / "webp-lossless.webp", lossless=True)
    Image.merge("RGBA", (*p.split(), a)).save(OUT / "webp-alpha.webp", lossless=True, exact=True)


def bitmaps():
    """What Pillow does not write: rows from the top, 16 bits a pixel."""
    pixels = made("noise", 11, 7)
    rows = b"".join(row[:, ::-1].tobytes() + b"\0\0\0" for row in pixels)
    head = struct.pack("<IiiHHIIiiII", 40, 11, -7, 1, 24, 0, len(rows), 0, 0, 0, 0)
    (OUT / "bitmap-from-the-top.bmp").write_bytes(struct.pack("<2sIII", b"BM", 54 + len(rows), 0, 54) + head + rows)
    words = made("noise", 12, 7)[:, :, 0].astype("<u2") * 257 + 3
    for name, masks in (("555", b""), ("565", struct.pack("<III", 0xF800, 0x7E0, 0x1F))):
        rows = words.tobytes()
        kind = 3 if masks else 0
        head = struct.pack("<IiiHHIIiiII", 40, 12, 7, 1, 16, kind, len(rows), 0, 0, 0, 0) + masks
        at = 14 + len(head)
        (OUT / f"bitmap-{name}.bmp").write_bytes(struct.pack("<2sIII", b"BM", at + len(rows), 0, at) + head + rows)


def gifs():
    p = picture()
    frames = [p.quantize(32), ImageOps.mirror(p).quantize(16)]
    frames[0].save(OUT / "gif-two-frames.gif", save_all=True, append_images=frames[1:], duration=50)
    p.quantize(20).save(OUT / "gif-transparent.gif", transparency=4)
    p.convert("L").save(OUT / "gif-grey.gif")
    p.quantize(20).save(OUT / "gif-interlaced.gif", interlace=1)
    # A first frame that leaves some of the canvas free, with and without a transparent colour.
    whole = io.BytesIO()
    p.quantize(20).save(whole, "GIF", interlace=0)
    plain = bytearray(whole.getvalue())
    struct.pack_into("<HH", plain, 6, 31, 29)
    at = plain.index(b",\0\0\0\0", 13 + 3 * (2 << (plain[10] & 7)))
    struct.pack_into("<HH", plain, at + 1, 5, 9)
    (OUT / "gif-small-frame.gif").write_bytes(plain)
    control = b"\x21\xF9\x04\x01\0\0\x07\0"
    (OUT / "gif-small-transparent-frame.gif").write_bytes(plain[:at] + control + plain[at:])


def oriented():
    p = picture(21, 13)
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        p.save(OUT / f"turned-{number}.jpg", exif=exif)
        p.save(OUT / f"turned-{number}.png", exif=exif)
        p.save(OUT / f"turned-{number}.webp", exif=exif, lossless=True)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    p.save(OUT / "turned-xmp.jpg", xmp=xmp)
    p.save(OUT / "turned-xmp.webp", xmp=xmp.replace(b'="6"', b">8<"), lossless=True)
    little = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 7, 0, 0)
    p.save(OUT / "turned-little-endian.jpg", exif=b"Exif\0\0" + little)
    long = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x0112, 4, 1, 5, 0)
    p.save(OUT / "turned-long.jpg", exif=b"Exif\0\0" + long)
    for name, value in (("zero", 0), ("nine", 9)):
        exif = Image.Exif()
        exif[0x0112] = value
        p.save(OUT / f"turned-{name}.jpg", exif=exif)
    Image.merge("LA", (p.convert("L"), alpha(21, 13))).save(OUT / "turned-la.png", exif=long)
    p.convert("L").save(OUT / "turned-grey.jpg", exif=b"Exif\0\0" + long)
    # Larger than the bands that rows are turned in.
    for number in (5, 6, 7, 8):
        exif = Image.Exif()
        exif[0x0112] = number
        picture(53, 37).quantize(8).save(OUT / f"turned-large-{number}.png", exif=exif)


def lossy():
    (OUT / "lossy").mkdir(exist_ok=True)
    for name, options in {"photo": {"quality": 80}, "fine": {"quality": 97}, "coarse": {"quality": 20}}.items():
        p = picture(61, 43)
        p.save(OUT / f"webp-{name}.webp", **options)
    Image.merge("RGBA", (*picture(61, 43).split(), alpha(61, 43))).save(OUT / "webp-lossy-alpha.webp", quality=70)
    for path in sorted(OUT.glob("webp-*.webp")):
        if path.name not in ("webp-lossless.webp", "webp-alpha.webp"):
            Image.open(path).convert("RGB").save(OUT / "lossy" / f"{path.stem}.png", optimize=True)


def rgb(image):
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image.convert("RGB")


def described(image):
    return f"{image.width}x{image.height} {hashlib.sha256(image.tobytes()).hexdigest()}"


def write_rgb():
    lines = []
    for path in sorted(OUT.iterdir()):
        if path.suffix in (".jpg", ".png", ".gif", ".webp", ".bmp") and not (OUT / "lossy" / f"{path.stem}.png").exists():
            stored = rgb(Image.open(path))
            image = Image.open(path)
            turned = ImageOps.exif_transpose(image)
            lines.append(f"{path.name} {described(stored)} {described(rgb(turned))}\n")
    (OUT / "rgb.txt").write_text("".join(lines))


SIZES = [
    ((1, 1), (1, 1)), ((1, 1), (7, 5)), ((7, 5), (1, 1)), ((2, 2), (3, 3)), ((3, 2), (224, 224)),
    ((31, 17), (31, 17)), ((31, 17), (31, 40)), ((31, 17), (64, 17)), ((31, 17), (31, 5)), ((31, 17), (9, 17)),
    ((64, 64), (32, 32)), ((64, 64), (33, 31)), ((100, 75), (224, 224)), ((75, 100), (32, 32)), ((640, 480), (224, 224)),
    ((348, 464), (299, 299)), ((131, 97), (160, 32)), ((97, 131), (20, 200)), ((1, 90), (16, 16)), ((90, 1), (16, 16)),
    ((2000, 3), (224, 224)), ((3, 2000), (224, 224)), ((10000, 3), (224, 224)), ((5, 10000), (33, 65)), ((257, 255), (256, 256)),
    ((512, 40), (511, 39)), ((40, 512), (43, 65)), ((19, 300), (19, 10)), ((300, 19), (10, 19)), ((66, 300), (65, 299)),
]


def write_resized():
    lines = []
    for kind in ("noise", "ramp", "extremes", "flat"):
        for number, (start, end) in enumerate(SIZES):
            if kind == "flat" and number % 5:
                continue
            source = Image.fromarray(made(kind, *start))
            for name, filter in FILTERS.items():
                out = source.resize(end, filter)
                ends = [out.getpixel((0, 0)), out.getpixel((out.width - 1, out.height - 1))]
                ends = " ".join(",".join(map(str, pixel)) for pixel in ends)
                lines.append(f"{kind} {start[0]}x{start[1]} {end[0]}x{end[1]} {name} {described(out).split()[1]} {ends}\n")
    (OUT / "resized.txt").write_text("".join(lines))


def write_prepared():
    import timm.data
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD

    normals = {
        "imagenet": (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
        "inception": (IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD),
    }
    cases = []
    for number, sides in enumerate([(640, 480), (348, 464), (50, 70), (301, 199), (224, 224), (1, 60), (500, 20), (21, 22)]):
        for place, (size, crop) in enumerate(
            [(224, 0.875), (224, 0.9), (32, 0.95), (96, 1.0), (65, 0.8), (31, 0.904), (48, 1.2), (47, 1.5), (224, "squash"), (33, "squash")]
        ):
            filter = list(FILTERS)[(number + place) % 3]
            cases.append((sides, size, crop, filter, list(normals)[(number + place // 3) % 2]))
    lines = []
    for sides, size, crop, filter, normal in cases:
        mean, std = normals[normal]
        # timm's squash at crop_pct 1 is the resize to the square.
        transform = timm.data.create_transform(
            input_size=(3, size, size), is_training=False, interpolation=filter, mean=mean, std=std,
            crop_pct=1.0 if crop == "squash" else crop, crop_mode="squash" if crop == "squash" else "center",
        )
        out = transform(Image.fromarray(made("noise", *sides)))
        out = np.ascontiguousarray(out.numpy().transpose(1, 2, 0)).astype("<f4")
        digest = hashlib.sha256(out.tobytes()).hexdigest()
        lines.append(f"noise {sides[0]}x{sides[1]} {size} {crop} {filter} {normal} {digest}\n")
    (OUT / "prepared.txt").write_text("".join(lines))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    modes()
    bitmaps()
    gifs()
    oriented()
    lossy()
    write_rgb()
    write_resized()
    write_prepared()
    import timm
    import torch
    import torchvision

    (OUT / "versions.txt").write_text(
        f"pillow {PIL.__version__}\nnumpy {np.__version__}\ntorch {torch.__version__.split('+')[0]}\n"
        f"torchvision {torchvision.__version__.split('+')[0]}\ntimm {timm.__version__}\n"
    )


if __name__ == "__main__":
    main()

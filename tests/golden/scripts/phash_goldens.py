"""Makes tests/golden/data/phash: small pictures, and what Pillow, ImageHash and SciPy say of them.

    python tests/golden/scripts/phash_goldens.py [FOLDER_OF_PHOTOGRAPHS]

Needs Pillow, ImageHash, SciPy and NumPy; versions.txt says which ones made the committed files.
With a folder (the images of the Grocery data set, MIT licence) the photographs are made anew, else
they stay as they are. Writes

    NAME.png, .jpg, .gif, .webp, .bmp   the pictures
    hashes.txt        file, imagehash.phash, SHA-256 of the bytes of convert("L")
    resized/NAME.WxH.png   resize((W, H), LANCZOS) of NAME's grey image
    coefficients.txt  file, then the 64 lowest DCT coefficients as IEEE bits in hexadecimal
"""

import hashlib
import io
import random
import struct
import sys
import zlib
from pathlib import Path

import imagehash
import numpy as np
import PIL
import scipy
import scipy.fftpack
from PIL import Image

OUT = Path(__file__).resolve().parent.parent / "data" / "phash"
random.seed(20)
rng = np.random.default_rng(20)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(name, width, height, depth, colour, rows, extra=b""):
    """A PNG that Pillow cannot write itself: rows are packed bytes without filter bytes."""
    packed = b"".join(b"\0" + bytes(row) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra
    data += chunk(b"IDAT", zlib.compress(packed, 9)) + chunk(b"IEND", b"")
    (OUT / name).write_bytes(data)


def grey(name, array):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(OUT / f"{name}.png", optimize=True)


def smooth(width, height, channels=3):
    """A picture with large shapes and some noise."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = []
    for c in range(channels):
        plane = 128 + 60 * np.sin(x / (3 + 2 * c) + c) + 50 * np.cos(y / (4 + c) - c)
        plane += rng.normal(0, 12, (height, width))
        planes.append(plane)
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def flat_and_regular():
    for value in (0, 1, 77, 128, 255):
        grey(f"flat-{value}", np.full((32, 32), value))
    grey("flat-one-pixel", [[9]])
    grey("flat-33x31", np.full((31, 33), 200))
    grey("flat-100x60", np.full((60, 100), 3))
    Image.new("RGB", (50, 40), (12, 200, 99)).save(OUT / "flat-colour.png")
    ramp = np.arange(32) * 8
    grey("ramp-across", np.tile(ramp, (32, 1)))
    grey("ramp-down", np.tile(ramp[:, None], (1, 32)))
    grey("ramp-diagonal", (ramp[None, :] + ramp[:, None]) // 2)
    grey("ramp-100x60", np.tile(np.arange(100) * 2, (60, 1)))
    y, x = np.mgrid[0:32, 0:32]
    for period in (1, 2, 4, 8, 16):
        grey(f"checks-{period}", ((x // period + y // period) % 2) * 255)
    grey("checks-60", ((np.mgrid[0:60, 0:60].sum(axis=0) // 10) % 2) * 200 + 20)
    grey("halves-left", (x < 16) * 255)
    grey("halves-top", (y < 16) * 255)
    grey("quarter", ((x < 16) & (y < 16)) * 255)
    grey("third", (x < 11) * 90 + 50)
    grey("two-tone-200", (np.mgrid[0:150, 0:200][1] < 100) * 130 + 60)
    grey("stripes-across", (y % 4 < 2) * 255)
    grey("stripes-down", (x % 4 < 2) * 255)
    for place in ((0, 0), (31, 31), (15, 16)):
        dot = np.zeros((32, 32))
        dot[place] = 255
        grey(f"dot-{place[0]}-{place[1]}", dot)
    grey("ring", ((abs(np.hypot(x - 15.5, y - 15.5) - 10) < 2) * 255))
    grey("cross", (((x == 15) | (x == 16) | (y == 15) | (y == 16)) * 255))
    grey("wave", np.round(127.5 + 127 * np.cos(np.pi * (2 * x + 1) * 3 / 64)))
    grey("off-by-one", 100 + ((x == 5) & (y == 9)))


def sizes():
    for width, height in ((1, 1), (1, 40), (40, 1), (2, 2), (3, 200), (200, 3), (7, 5), (31, 32)):
        grey(f"noise-{width}x{height}", rng.integers(0, 256, (height, width)))
    for width, height in ((32, 32), (33, 31), (32, 90), (90, 32), (64, 64), (129, 97), (17, 150)):
        Image.fromarray(smooth(width, height)).save(OUT / f"smooth-{width}x{height}.png")
    grey("extremes-61x47", rng.integers(0, 2, (47, 61)) * 255)


def modes():
    picture = Image.fromarray(smooth(45, 37))
    picture.convert("1").save(OUT / "mode-1bit.png")
    picture.convert("L").save(OUT / "mode-grey.png")
    alpha = Image.fromarray(rng.integers(0, 256, (37, 45)).astype(np.uint8))
    Image.merge("LA", (picture.convert("L"), alpha)).save(OUT / "mode-grey-alpha.png")
    Image.merge("RGBA", (*picture.split(), alpha)).save(OUT / "mode-rgba.png")
    for colours in (2, 4, 16, 200):
        palette = picture.quantize(colours)
        palette.save(OUT / f"mode-palette-{colours}.png")
    palette.save(OUT / "mode-palette-transparent.png", transparency=5)
    deep = rng.integers(0, 65536, (37, 45, 4))
    deep[:, :, 0] = (np.mgrid[0:37, 0:45][1] * 1400) % 65536
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        rows = [row[:, :channels].astype(">u2").tobytes() for row in deep]
        raw_png(f"mode-16bit-{colour}.png", 45, 37, 16, colour, rows)
    low = rng.integers(0, 300, (37, 45)).astype(">u2")
    raw_png("mode-16bit-dark.png", 45, 37, 16, 0, [row.tobytes() for row in low])
    for depth in (1, 2, 4):
        rows = [rng.integers(0, 256, (45 * depth + 7) // 8).astype(np.uint8) for _ in range(37)]
        raw_png(f"mode-grey-{depth}bit.png", 45, 37, depth, 0, rows)
    rows = [row.tobytes() for row in np.asarray(picture.convert("L"))]
    raw_png("mode-grey-key.png", 45, 37, 8, 0, rows, chunk(b"tRNS", b"\0\x80"))
    rows = [row.tobytes() for row in np.asarray(picture)]
    raw_png("mode-rgb-key.png", 45, 37, 8, 2, rows, chunk(b"tRNS", b"\0\x80\0\x40\0\x20"))
    raw_png("mode-gamma.png", 45, 37, 8, 2, rows, chunk(b"gAMA", struct.pack(">I", 30000)))


def other_formats():
    picture = Image.fromarray(smooth(61, 43))
    picture.save(OUT / "other-rgb.bmp")
    picture.convert("L").save(OUT / "other-grey.bmp")
    picture.convert("1").save(OUT / "other-1bit.bmp")
    picture.quantize(100).save(OUT / "other-palette.bmp")
    picture.save(OUT / "other-lossless.webp", lossless=True)
    Image.merge("RGBA", (*picture.split(), picture.split()[1])).save(
        OUT / "other-alpha.webp", lossless=True, exact=True
    )
    picture.save(OUT / "other-lossy.webp", quality=80)
    picture.save(OUT / "other.gif")
    picture.quantize(64).save(OUT / "other-transparent.gif", transparency=3)
    frames = [Image.fromarray(smooth(61, 43)).quantize(32) for _ in range(3)]
    frames[0].save(OUT / "other-animated.gif", save_all=True, append_images=frames[1:])
    frames = [Image.fromarray(smooth(61, 43)) for _ in range(3)]
    frames[0].save(
        OUT / "other-animated.webp", save_all=True, append_images=frames[1:], lossless=True
    )


def jpegs():
    picture = Image.fromarray(smooth(97, 75))
    for name, options in {
        "baseline": {},
        "444": {"subsampling": 0, "quality": 95},
        "422": {"subsampling": 1},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 2},
        "progressive-restarts": {"restart_marker_rows": 1, "progressive": True},
        "low": {"quality": 8},
    }.items():
        picture.save(OUT / f"jpeg-{name}.jpg", **options)
    picture.convert("L").save(OUT / "jpeg-grey.jpg")
    picture.convert("L").save(OUT / "jpeg-grey-progressive.jpg", progressive=True)
    picture.convert("CMYK").save(OUT / "jpeg-cmyk.jpg")
    for width, height in ((1, 1), (8, 1), (17, 13), (3, 50)):
        Image.fromarray(smooth(width, height)).save(OUT / f"jpeg-{width}x{height}.jpg")
    thumbnail = io.BytesIO()
    picture.resize((20, 16)).save(thumbnail, "JPEG")
    picture.save(OUT / "jpeg-thumbnail.jpg", exif=exif(thumbnail.getvalue()))


def exif(thumbnail):
    """An EXIF block that says "turn by 90 degrees" and holds a JPEG thumbnail."""
    first = struct.pack("<HHHIII", 1, 0x0112, 3, 1, 6, 26)
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 0x0201, 4, 1, 26 + 30) + struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail))
    body = b"II*\0" + struct.pack("<I", 8) + first + second + struct.pack("<I", 0)
    return b"Exif\0\0" + body + thumbnail


def photographs(folder):
    files = sorted(Path(folder).glob("*.jpg"))
    for number, file in enumerate(files[5 :: len(files) // 12][:12]):
        (OUT / f"photo-{number:02}.jpg").write_bytes(file.read_bytes())
    for number, file in enumerate(files[9 :: len(files) // 8][:8]):
        small = Image.open(file).resize((72 + 5 * number, 80 - 3 * number), Image.Resampling.BILINEAR)
        small.save(OUT / f"photo-small-{number}.png", optimize=True)


def coefficients(file):
    image = Image.open(file).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    dct = scipy.fftpack.dct(scipy.fftpack.dct(pixels, axis=0), axis=1)
    return dct[:8, :8].astype(">f8").tobytes().hex()


def outcomes():
    files = sorted(f for f in OUT.iterdir() if f.suffix in (".png", ".jpg", ".gif", ".webp", ".bmp"))
    with open(OUT / "hashes.txt", "w") as hashes:
        for file in files:
            grey_bytes = Image.open(file).convert("L").tobytes()
            digest = hashlib.sha256(grey_bytes).hexdigest()
            hashes.write(f"{file.name} {imagehash.phash(Image.open(file))} {digest}\n")
    with open(OUT / "coefficients.txt", "w") as out:
        for file in files:
            if file.suffix == ".png":
                out.write(f"{file.name} {coefficients(file)}\n")
    resized = OUT / "resized"
    resized.mkdir(exist_ok=True)
    for name, sides in (
        ("smooth-129x97.png", ((32, 32), (129, 20), (64, 97), (200, 150), (1, 1), (13, 111))),
        ("noise-7x5.png", ((32, 32), (1, 3), (20, 2))),
        ("extremes-61x47.png", ((32, 32), (33, 31), (122, 94), (60, 46))),
        ("noise-3x200.png", ((32, 32), (3, 7))),
    ):
        image = Image.open(OUT / name).convert("L")
        for side in sides:
            small = image.resize(side, Image.Resampling.LANCZOS)
            small.save(resized / f"{Path(name).stem}.{side[0]}x{side[1]}.png")
    versions = f"pillow {PIL.__version__}\nImageHash {imagehash.__version__}\n"
    versions += f"scipy {scipy.__version__}\nnumpy {np.__version__}\n"
    (OUT / "versions.txt").write_text(versions)


OUT.mkdir(parents=True, exist_ok=True)
flat_and_regular()
sizes()
modes()
other_formats()
jpegs()
if len(sys.argv) > 1:
    photographs(sys.argv[1])
outcomes()

"""Makes tests/golden/data/jpeg: JPEG files of every kind, and the pixels that Pillow reads from them.

    python tests/golden/scripts/jpeg_goldens.py

Needs Pillow (with libjpeg-turbo), ImageHash and NumPy; versions.txt says which ones made the
committed files. Some files are written by Pillow (pillow-*, quality-*), others (hand-*) by the
small encoder below, which can write what Pillow cannot: any sampling factors, any order of scans,
codes of all lengths, absent or odd tables. Writes

    NAME.jpg
    pixels.txt   file, mode, sides, SHA-256 of the bytes of convert("RGB") (convert("L") for grey),
                 imagehash.phash, and for pictures of a few pixels the bytes themselves

pixels.txt also has the photographs and other JPEGs of data/phash, which phash_goldens.py makes.
"""

import hashlib
import io
import struct
from pathlib import Path

import imagehash
import numpy as np
import PIL
from PIL import Image, features

OUT = Path(__file__).resolve().parent.parent / "data" / "jpeg"
rng = np.random.default_rng(31)


def picture(width, height, kind, channels=3):
    y, x = np.mgrid[0:height, 0:width].astype(float)
    if kind == "noise":
        planes = rng.integers(0, 256, (height, width, channels))
    elif kind == "extremes":
        planes = rng.integers(0, 2, (height, width, channels)) * 255
    else:
        waves = [128 + 60 * np.sin(x / (3 + 2 * c) + c) + 50 * np.cos(y / (4 + c) - c) for c in range(channels)]
        planes = np.stack(waves, axis=2) + rng.normal(0, 12, (height, width, channels))
    return np.clip(planes, 0, 255).astype(np.uint8)


def image(width, height, kind):
    return Image.fromarray(picture(width, height, kind))


KINDS = ("smooth", "noise", "extremes")
SIZES = (
    (1, 1), (2, 1), (1, 2), (2, 2), (3, 3), (4, 5), (5, 4), (7, 9), (8, 8), (9, 7), (15, 17), (16, 16),
    (17, 15), (31, 33), (33, 31), (40, 3), (3, 40), (64, 64), (65, 67), (530, 5), (5, 150),
)  # fmt: skip


def by_pillow():
    number = 0
    restarts = ({}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}, {})
    for width, height in SIZES:
        for sampling in (0, 1, 2):
            for progressive in (False, True):
                options = {"quality": (75, 90, 30, 96, 4)[number % 5], "subsampling": sampling}
                options |= {"optimize": number % 3 == 0, "progressive": progressive} | restarts[number % 4]
                name = f"pillow-{width}x{height}-{('444', '422', '420')[sampling]}{'-p' * progressive}.jpg"
                image(width, height, KINDS[number % 3]).save(OUT / name, **options)
                number += 1
    for width, height in ((1, 1), (13, 9), (33, 31), (40, 64)):
        for progressive in (False, True):
            end = f"{width}x{height}{'-p' * progressive}.jpg"
            options = {"quality": 85, "progressive": progressive}
            colours = image(width, height, "smooth")
            colours.convert("L").save(OUT / f"pillow-grey-{end}", **options)
            cmyk = Image.fromarray(picture(width, height, "smooth", 4), "CMYK")
            cmyk.save(OUT / f"pillow-cmyk-{end}", **options)
            colours.save(OUT / f"pillow-rgb-{end}", keep_rgb=True, **options)
    for quality in range(1, 101):
        kind = KINDS[quality % 3]
        image(19, 13, kind).save(OUT / f"quality-{quality:03}.jpg", quality=quality, subsampling=quality % 2 * 2)


# ------------------------------------------------------------------------------ the small encoder

ZIGZAG = sorted(
    range(64),
    key=lambda i: (i // 8 + i % 8, -(i // 8) if (i // 8 + i % 8) % 2 == 0 else i // 8),
)
COSINES = np.array(
    [[np.cos((2 * x + 1) * u * np.pi / 16) / 2 * (np.sqrt(0.5) if u == 0 else 1) for x in range(8)] for u in range(8)]
)
# How many codes of each length: room for all symbols, with lengths up to 16 bits.
PROFILE = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125]


def usual_codes():
    """The codes of T.81, annex K.3, by class and number, from a file that has them."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    data, at, codes = buffer.getvalue(), 2, {}
    while data[at + 1] != 0xDA:
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at + 1] == 0xC4:
            part = data[at + 4 : at + 2 + length]
            while part:
                total = sum(part[1:17])
                codes[part[0] >> 4, part[0] & 15] = (list(part[1:17]), list(part[17 : 17 + total]))
                part = part[17 + total :]
        at += 2 + length
    return codes


USUAL = usual_codes()


def code_for(symbols):
    """A code in which frequent symbols are short."""
    order = sorted(set(symbols), key=lambda s: (-symbols.count(s), s))
    counts, left = [], len(order)
    for room in PROFILE:
        counts.append(min(room, left))
        left -= counts[-1]
    assert left == 0
    return counts, order


def bits_of(code):
    counts, order = code
    table, value, place = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            table[order[place]] = (value, length)
            value, place = value + 1, place + 1
        value <<= 1
    return table


def segment(marker, body, fill=0):
    return b"\xff" * fill + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


class Hand:
    """A picture of components with `factors`, one pair each."""

    def __init__(self, width, height, factors, kind="smooth", step=6, ids=None, wide_steps=False):
        self.width, self.height, self.factors = width, height, factors
        self.ids = ids or list(range(1, len(factors) + 1))
        self.max_h, self.max_v = max(h for h, _ in factors), max(v for _, v in factors)
        self.mcus = (-(-width // (8 * self.max_h)), -(-height // (8 * self.max_v)))
        self.wide_steps = wide_steps
        self.steps = [np.clip(np.arange(64) // 2 * (n + 1) // 2 + step, 1, 255) for n in range(2)]
        if wide_steps:
            self.steps[0][40:] = 700
        self.blocks, self.sides = [], []
        for number, (h, v) in enumerate(factors):
            wide, high = self.mcus[0] * h, self.mcus[1] * v
            plane = picture(8 * wide, 8 * high, kind, 4)[:, :, number].astype(float) - 128
            blocks = np.zeros((high, wide, 64), int)
            for y in range(high):
                for x in range(wide):
                    exact = COSINES @ plane[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] @ COSINES.T
                    blocks[y, x] = np.round(exact.reshape(64)[ZIGZAG] / self.steps[min(number, 1)])
            self.blocks.append(blocks)
            cover = lambda side, factor, most: -(-side * factor // (8 * most))
            self.sides.append((cover(width, h, self.max_h), cover(height, v, self.max_v)))

    def units(self, parts):
        """Units of a scan: lists of (part, block)."""
        if len(parts) == 1:
            wide, high = self.sides[parts[0]]
            return [[(0, self.blocks[parts[0]][y, x])] for y in range(high) for x in range(wide)]
        units = []
        for row in range(self.mcus[1]):
            for column in range(self.mcus[0]):
                unit = []
                for part, number in enumerate(parts):
                    h, v = self.factors[number]
                    for y in range(row * v, row * v + v):
                        unit += [(part, self.blocks[number][y, column * h + x]) for x in range(h)]
                units.append(unit)
        return units

    def scan(self, parts, start=0, end=63, high=0, low=0, restart=0, progressive=False, usual=False):
        table = [min(number, 1) for number in parts]
        items = []  # (class, table, symbol), or (value, bits), or a restart marker's number
        code = lambda kind, part, symbol: items.append((kind, table[part], symbol))
        bits = lambda value, count: items.append((value, count)) if count else None
        state = {"before": [0] * len(parts), "run": 0, "late": []}

        def number(kind, part, zeros, value):
            size = int(abs(value)).bit_length()
            code(kind, part, zeros << 4 | size)
            bits(int(value) if value > 0 else int(value) + (1 << size) - 1, size)

        def flush():
            run, late = state["run"], state["late"]
            if run:
                size = run.bit_length() - 1
                code(1, 0, size << 4)
                bits(run - (1 << size), size)
                for bit in late:
                    bits(bit, 1)
            state["run"], state["late"] = 0, []

        def dc(part, block):
            value = int(block[0]) >> low
            if high:
                return bits(value & 1, 1)
            number(0, part, 0, value - state["before"][part])
            state["before"][part] = value

        def ac(part, block):
            zeros = 0
            first = max(start, 1)
            for k in range(first, end + 1):
                value = int(np.sign(block[k])) * (abs(int(block[k])) >> low)
                if value == 0:
                    zeros += 1
                    continue
                flush()
                while zeros > 15:
                    code(1, part, 0xF0)
                    zeros -= 16
                number(1, part, zeros, value)
                zeros = 0
            if zeros:
                if progressive:
                    state["run"] += 1
                    if state["run"] == 0x7FFF:
                        flush()
                else:
                    code(1, part, 0)

        def refined(block):
            sizes = [abs(int(value)) >> low for value in block]
            new = [k for k in range(start, end + 1) if sizes[k] == 1]
            last = new[-1] if new else 0
            zeros, late = 0, []
            for k in range(start, end + 1):
                if sizes[k] == 0:
                    zeros += 1
                    continue
                while zeros > 15 and k <= last:
                    flush()
                    code(1, 0, 0xF0)
                    for bit in late:
                        bits(bit, 1)
                    zeros, late = zeros - 16, []
                if sizes[k] > 1:
                    late.append(sizes[k] & 1)
                    continue
                flush()
                code(1, 0, zeros << 4 | 1)
                bits(int(block[k] > 0), 1)
                for bit in late:
                    bits(bit, 1)
                zeros, late = 0, []
            if zeros or late:
                state["run"] += 1
                state["late"] += late

        for place, unit in enumerate(self.units(parts)):
            if restart and place and place % restart == 0:
                flush()
                items.append(place // restart - 1 & 7)
                state["before"] = [0] * len(parts)
            for part, block in unit:
                if start == 0:
                    dc(part, block)
                if end > 0 and high:
                    refined(block)
                elif end > 0:
                    ac(part, block)
        flush()
        return self.written(items, parts, table, (start, end, high, low), usual)

    def written(self, items, parts, table, band, usual):
        coded = [item for item in items if isinstance(item, tuple) and len(item) == 3]
        codes = {key: [s for k, t, s in coded if (k, t) == key] for key in {item[:2] for item in coded}}
        codes = {key: USUAL[key] if usual else code_for(symbols) for key, symbols in codes.items()}
        head = b""
        if not usual:
            for (kind, number), (counts, order) in sorted(codes.items()):
                head += segment(0xC4, bytes([kind << 4 | number, *counts, *order]))
        tables = {key: bits_of(code) for key, code in codes.items()}
        pieces, text = [], []

        def close():
            joined = "".join(text)
            joined += "1" * (-len(joined) % 8)
            data = bytes(int(joined[i : i + 8], 2) for i in range(0, len(joined), 8))
            pieces.append(data.replace(b"\xff", b"\xff\0"))
            text.clear()

        for item in items:
            if isinstance(item, int):
                close()
                pieces.append(bytes([0xFF, 0xD0 + item]))
            else:
                value, length = tables[item[:2]][item[2]] if len(item) == 3 else item
                text.append(format(value, f"0{length}b"))
        close()
        body = bytes([len(parts)])
        for number, t in zip(parts, table):
            body += bytes([self.ids[number], t << 4 | t])
        body += bytes([band[0], band[1], band[2] << 4 | band[3]])
        return head + segment(0xDA, body) + b"".join(pieces)

    def save(self, name, scans, marker=0xC0, extra=b"", restart=0, usual=False, fill=0, tail=b""):
        data = b"\xff\xd8" + extra
        for number in range(min(2, len(self.factors))):
            wide = self.wide_steps and number == 0
            steps = self.steps[number].astype(">u2" if wide else "u1").tobytes()
            data += segment(0xDB, bytes([wide << 4 | number]) + steps, fill)
        frame = struct.pack(">BHHB", 8, self.height, self.width, len(self.factors))
        for number, (h, v) in enumerate(self.factors):
            frame += bytes([self.ids[number], h << 4 | v, min(number, 1)])
        data += segment(marker, frame, fill)
        if restart:
            data += segment(0xDD, struct.pack(">H", restart))
        for scan in scans:
            data += self.scan(restart=restart, progressive=marker == 0xC2, usual=usual, **scan)
        (OUT / name).write_bytes(data + tail + b"\xff" * fill + b"\xff\xd9")


def together(count):
    return [{"parts": list(range(count))}]


def apart(count):
    return [{"parts": [number]} for number in range(count)]


def progressive(count, units):
    """Bands and bits, DC together where the standard allows it."""
    dc = [list(range(count))] if units <= 10 else [[number] for number in range(count)]
    scans = [{"parts": parts, "end": 0, "low": 1} for parts in dc]
    for number in range(count):
        scans.append({"parts": [number], "start": 1, "end": 5, "low": 2})
        scans.append({"parts": [number], "start": 6, "end": 63, "low": 2})
    for number in range(count):
        scans.append({"parts": [number], "start": 1, "end": 63, "high": 2, "low": 1})
    scans += [{"parts": parts, "end": 0, "high": 1, "low": 0} for parts in dc]
    for number in reversed(range(count)):
        scans.append({"parts": [number], "start": 1, "end": 63, "high": 1, "low": 0})
    return scans


FACTORS = (
    ((1, 1), (1, 1), (1, 1)),
    ((2, 1), (1, 1), (1, 1)),
    ((1, 2), (1, 1), (1, 1)),
    ((2, 2), (1, 1), (1, 1)),
    ((4, 1), (1, 1), (1, 1)),
    ((1, 4), (1, 1), (1, 1)),
    ((4, 2), (1, 1), (1, 1)),
    ((3, 1), (1, 1), (1, 1)),
    ((1, 3), (1, 1), (1, 3)),
    ((2, 2), (2, 1), (1, 2)),
    ((2, 2), (1, 2), (2, 1)),
    ((2, 1), (1, 2), (1, 1)),
    ((1, 1), (2, 2), (2, 2)),
    ((2, 4), (1, 2), (1, 1)),
    ((4, 2), (2, 1), (2, 2)),
    ((4, 4), (2, 2), (2, 4)),
    ((4, 4), (1, 2), (4, 2)),
    ((2, 2),),
    ((3, 4),),
    ((2, 2), (1, 1), (1, 1), (2, 2)),
    ((1, 1), (1, 1), (1, 1), (1, 1)),
)
HAND_SIZES = ((33, 35), (47, 18), (5, 70), (66, 9), (17, 49), (31, 31), (3, 3), (65, 64))


def by_hand():
    number = 0
    for factors in FACTORS:
        count = len(factors)
        units = sum(h * v for h, v in factors)
        name = "-".join(f"{h}{v}" for h, v in factors)
        for way in ("together", "apart", "progressive"):
            if way == "together" and units > 10 and count > 1:
                continue
            width, height = HAND_SIZES[number % len(HAND_SIZES)]
            hand = Hand(width, height, factors, KINDS[number % 3], step=(6, 2, 20)[number % 3])
            scans = progressive(count, units) if way == "progressive" else {"together": together, "apart": apart}[way](count)
            marker = {"together": 0xC0, "apart": 0xC1, "progressive": 0xC2}[way]
            hand.save(f"hand-{name}-{way}.jpg", scans, marker, restart=(0, 0, 3, 1)[number % 4])
            number += 1
    colours_by_segments()
    odd_files()


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def colours_by_segments():
    three = ((1, 1),) * 3
    letters = [82, 71, 66]
    for name, extra, ids in (
        ("none-123", b"", None),
        ("none-rgb", b"", letters),
        ("none-567", b"", [5, 6, 7]),
        ("jfif-rgb", JFIF, letters),
        ("jfif-adobe-0", JFIF + adobe(0), None),
        ("adobe-0", adobe(0), None),
        ("adobe-1-rgb", adobe(1), letters),
        ("adobe-2", adobe(2), None),
        ("adobe-9", adobe(9), None),
        ("same-ids", JFIF, [1, 1, 1]),
    ):
        Hand(20, 13, three, ids=ids).save(f"hand-colours-{name}.jpg", together(3), extra=extra)
    for name, extra in (("none", b""), ("adobe-0", adobe(0)), ("adobe-1", adobe(1)), ("adobe-2", adobe(2))):
        Hand(20, 13, ((1, 1),) * 4).save(f"hand-inks-{name}.jpg", together(4), extra=extra)
    Hand(35, 21, ((2, 2), (1, 1), (1, 1), (2, 2))).save("hand-inks-ycck-420.jpg", together(4), extra=adobe(2))


def odd_files():
    usual = Hand(35, 30, ((2, 2), (1, 1), (1, 1)))
    usual.save("hand-no-codes.jpg", together(3), usual=True)
    usual.save("hand-no-codes-apart.jpg", apart(3), usual=True)
    usual.save("hand-fill-bytes.jpg", together(3), fill=3, tail=b"\xff\0\xff\xd0abc")
    Hand(40, 40, ((1, 1),), step=1, wide_steps=True).save("hand-wide-steps.jpg", together(1), 0xC1)
    many = Hand(90, 90, ((1, 1),), "noise")
    many.save("hand-restart-every-block.jpg", together(1), restart=1)
    flat = Hand(1100, 1030, ((1, 1),))
    flat.blocks[0][:, :, 1:] = 0
    flat.blocks[0][:, :, 0] = np.add.outer(np.arange(129) // 9, np.arange(138) // 9)
    flat.blocks[0][128, 137, 3] = 5
    scans = [{"parts": [0], "end": 0}, {"parts": [0], "start": 1, "end": 63, "low": 1}]
    scans.append({"parts": [0], "start": 1, "end": 63, "high": 1, "low": 0})
    # 17,802 blocks, of which all but the last end as one run.
    flat.save("hand-long-run.jpg", scans, 0xC2)
    mixed = Hand(50, 27, ((2, 1), (1, 1), (1, 1)))
    mixed.save("hand-two-and-one.jpg", [{"parts": [0, 2]}, {"parts": [1]}])
    mixed.save("hand-scans-out-of-order.jpg", [{"parts": [2]}, {"parts": [1]}, {"parts": [0]}])


def pixels():
    lines = []
    files = sorted(OUT.glob("*.jpg")) + sorted((OUT.parent / "phash").glob("*.jpg"))
    for file in files:
        opened = Image.open(file)
        mode = "L" if opened.mode == "L" else "RGB"
        data = opened.convert(mode).tobytes()
        name = file.name if file.parent == OUT else f"../phash/{file.name}"
        line = f"{name} {mode} {opened.width}x{opened.height} {hashlib.sha256(data).hexdigest()}"
        line += f" {imagehash.phash(Image.open(file))}"
        lines.append(line + (f" {data.hex()}" if len(data) <= 75 else ""))
    (OUT / "pixels.txt").write_text("\n".join(lines) + "\n")
    versions = f"pillow {PIL.__version__}\nlibjpeg-turbo {features.version('libjpeg_turbo')}\n"
    versions += f"ImageHash {imagehash.__version__}\nnumpy {np.__version__}\n"
    (OUT / "versions.txt").write_text(versions)


OUT.mkdir(parents=True, exist_ok=True)
for old in OUT.glob("*.jpg"):
    old.unlink()
by_pillow()
by_hand()
pixels()

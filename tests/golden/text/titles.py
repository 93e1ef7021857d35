"""Made-up titles of a marketplace, by the counter-based formula of formula.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))

import formula

ENGLISH = (
    "phone case leather wallet wireless charger usb cable fast charging original new women men kids baby dress "
    "shirt shoes running bag backpack school travel bottle water stainless steel kitchen knife set frying pan "
    "non-stick rice cooker lamp led night light battery powered toy car remote control puzzle wooden blocks cream "
    "face whitening serum vitamin sunscreen lipstick matte shampoo hair oil powder soap organic coffee tea green "
    "instant noodles snack chocolate biscuit waterproof watch analog digital strap silicone for and with the"
).split()
INDONESIAN = (
    "baju anak perempuan laki-laki gamis jilbab kerudung segi empat celana panjang pendek kaos oblong polos sepatu "
    "sandal tas ransel selempang dompet kulit asli murah grosir promo gratis ongkir botol minum susu bayi popok "
    "sabun cuci muka pelembab wajah bedak lipstik minyak goreng beras kopi teh gula pasir kerupuk keripik pisang "
    "sambal bawang tempat makan kotak bekal panci wajan pisau lampu meja kabel pengisi daya mainan mobil boneka "
    "buku tulis pensil warna untuk dan isi warna hitam putih merah biru hijau ukuran besar kecil terlaris"
).split()
BRANDS = "Zorvex Lumina Kasadra Nuvotek Brindo Tiramora Ovelis Quenta Merapila Suryanto Hexaglow Pim&Co".split()
SIZES = "500ml 1kg 250gr 2L XL XXL S/M/L 38-43 10x15cm 3pcs 1lusin 12V 5000mAh 64GB 4/64GB 6.5\" 100% 2in1 50's".split()
SIGNS = ["✨", "🔥", "❤️", "👶🏽", "⭐⭐⭐", "🇮🇩", "™", "®", "½", "→", "•", "~~", "!!!", "|", "[PROMO]", "(COD)", "#1", "@home", "&amp;", "…"]
ACCENTS = "crème brûlée naïve façade Müller jalapeño señorita žluťoučký ĐẸP İstanbul ﬁne ｆｕｌｌ e\u0301clair Ω5 βeta".split()
SCRIPTS = ["手机壳", "保护套 透明", "コーヒー豆", "抹茶ラテ", "화장품 세트", "чехол для телефона", "حقيبة يد", "กระเป๋า", "साड़ी", "שעון"]
ESCAPES = [r"\xe2\x9d\xa4", r"\xf0\x9f\x94\xa5 sale", r"na\xc3\xafve", r"\xc2\xa0", r"100\xe2\x84\xa2"]


class Draw:
    """Whole numbers by the formula."""

    def __init__(self, seed):
        self.seed, self.at = formula.fnv(seed), 0

    def below(self, count):
        self.at += 1
        return (int(formula.whole(self.seed, self.at)) + (1 << 24)) * count >> 25

    def of(self, words):
        return words[self.below(len(words))]


def title(seed):
    draw = Draw(seed)
    kind, count = draw.below(20), 2 + draw.below(12)
    words = [draw.of(INDONESIAN if kind % 2 else ENGLISH) for _ in range(count)]
    words.insert(0, draw.of(BRANDS))
    words.append(draw.of(SIZES))
    if kind < 6:
        words.insert(draw.below(len(words)), draw.of(SIGNS))
    if kind in (3, 7):
        words.insert(draw.below(len(words)), draw.of(ACCENTS))
    if kind in (4, 8):
        words.insert(draw.below(len(words)), draw.of(SCRIPTS))
    if kind == 9:
        words.append(draw.of(ESCAPES))
    if kind == 10:
        words = words * (1 + draw.below(5))
    text = ("  " if kind == 11 else " ").join(words)
    return [text, text.title(), text.upper(), text.lower()][draw.below(4)]


#!/usr/bin/env python3
"""Writes what the TF-IDF tests compare with, and the tables that TF-IDF takes from Python.

usage: tfidf_goldens.py tables          src/text/python/tables.rs, src/text/stop_words_english.txt,
                                        tests/golden/data/tfidf/python_text.json
       tfidf_goldens.py titles FOLDER   tests/golden/data/tfidf/titles-*.json; FOLDER holds the listings
                                        abt-buy.csv, amazon-google.csv and grocery/listings.csv
       tfidf_goldens.py goldens         tests/golden/data/tfidf/cases-*.json and values-*.zip
       tfidf_goldens.py store           tests/golden/data/tfidf_store/: .npy and .npz by NumPy and SciPy

The committed files were made with CPython 3.11.7 (Unicode 14.0.0), scikit-learn 1.9.1, NumPy 2.4.6 and
SciPy 1.17.1. `tables` refuses another version of Unicode, since the tables would change meaning.
"""
import csv
import hashlib
import io
import json
import os
import random
import sys
import unicodedata
import zipfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
DATA = os.path.join(ROOT, "tests", "golden", "data", "tfidf")


def write(path, text):
    with open(os.path.join(ROOT, path), "w", encoding="utf-8", newline="\n") as f:
        f.write(text)
    print(f"{path}: {len(text.encode('utf-8'))} bytes")


def dump(path, value, **kw):
    write(path, json.dumps(value, ensure_ascii=True, **kw) + "\n")


# ------------------------------------------------------------------ tables
def code_points():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def ranges(test, first=0):
    """The ranges of code points from `first` on for which test(character) holds."""
    found = []
    for c in code_points():
        if c >= first and test(chr(c)):
            if found and found[-1][1] == c - 1:
                found[-1][1] = c
            else:
                found.append([c, c])
    return found


def final(before, after=""):
    """Whether str.lower takes the capital sigma between `before` and `after` for a final one."""
    return (before + "\u03a3" + after).lower()[len(before.lower())] == "\u03c2"


def table(name, doc, test, first=0):
    cells = [f"(0x{a:x}, 0x{b:x})," for a, b in ranges(test, first)]
    lines, line = [], "   "
    for cell in cells:
        if len(line) + 1 + len(cell) > 100:
            lines.append(line)
            line = "   "
        line += " " + cell
    lines.append(line)
    head = [f"/// {doc}", "#[rustfmt::skip]", f"pub(super) static {name}: [(u32, u32); {len(cells)}] = ["]
    return "\n".join(head + lines + ["];"])


def strip_unicode(s):
    return "".join(c for c in unicodedata.normalize("NFKD", s) if not unicodedata.combining(c))


def strip_ascii(s):
    return unicodedata.normalize("NFKD", s).encode("ascii", "ignore").decode("ascii")


def digest(block, text_of):
    """SHA-256, cut to 16 digits, of text_of(character) over a block, each with a NUL after it."""
    h = hashlib.sha256()
    for c in block:
        h.update(text_of(chr(c)).encode("utf-8") + b"\0")
    return h.hexdigest()[:16]


def tables():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"the tables are Unicode 14.0.0's, this Python has {unicodedata.unidata_version}")
    head = (
        "//! What CPython 3.11 (Unicode 14.0.0) says about characters, as inclusive ranges.\n"
        "//!\n"
        "//! Written by `tests/golden/scripts/tfidf_goldens.py tables`; not to be edited by hand.\n"
    )
    ignored = lambda c: final("A" + c) and not final(c)
    parts = [
        table("ALPHANUMERIC", "`str.isalnum`, above ASCII.", str.isalnum, 0x80),
        table("UNASSIGNED", "Without a meaning in Unicode 14: general category Cn.",
              lambda c: unicodedata.category(c) == "Cn"),
        table("CASED", "Before a capital sigma, makes it a final one.", final),
        table("CASE_IGNORED", "Passed over by the search for a cased letter beside a capital sigma.", ignored),
    ]
    write("src/text/python/tables.rs", head + "\n" + "\n\n".join(parts) + "\n")
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    write("src/text/stop_words_english.txt", "\n".join(sorted(ENGLISH_STOP_WORDS)) + "\n")
    python_text()


def python_text():
    """What Python makes of every character, by digests of 4,096 at a time, and of some strings."""
    blocks = []
    for first in range(0, 0x110000, 4096):
        block = [c for c in range(first, first + 4096) if not 0xD800 <= c < 0xE000]
        blocks.append([
            digest(block, str.lower), digest(block, strip_unicode), digest(block, strip_ascii),
            digest(block, lambda c: "1" if c.isalnum() or c == "_" else "0"),
            digest(block, lambda c: "1" if c.isspace() else "0"),
            digest(block, lambda c: (c + "\u03a3").lower() + ("A" + c + "\u03a3").lower()
                   + ("A\u03a3" + c).lower() + ("A\u03a3" + c + "b").lower()),
        ])
    strings = ["", "\u03a3", "A\u03a3", "\u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3", "A\u03a3\u0301", "A\u03a3.b",
               "A\u03a3. b", "1\u03a3", "A1\u03a3", "\u03a3\u03a3\u03a3", "A'\u03a3'", "A\u00ad\u03a3\u00adb", "\u0130\u0130",
               "\u1e9e\u00df", "A\u0345\u03a3", "\u01c5\u03a3", "a\u0301\u0327\u0323", "\ufb03\u0149\u1e9b\u0323", "\uac00\uac01 \u1100\u1161",
               "e\u0301\U0001e08f\u0327\u0301", "\U00011f02\u0301\u0327", "\u0958\u2126\u212b", "\U0001d7d8\u2460\u00bd"]
    r = random.Random(11)
    pool = "aA\u03a3\u03c3\u0301\u0327\u0323\u0345\u00ad.'1 _\u0130\u01c5\u1e9e\uac01\u1ffc\u0390\U0001e08f\U00010d6f\u1100\u1161\u0e33\u0958"
    strings += ["".join(r.choice(pool) for _ in range(r.randint(2, 9))) for _ in range(400)]
    rows = [[s, s.lower(), strip_unicode(s), strip_ascii(s)] for s in strings]
    dump("tests/golden/data/tfidf/python_text.json", {"blocks": blocks, "strings": rows}, separators=(",", ":"))


# ------------------------------------------------------------------ titles
def extract(path, count):
    """`count` titles spread evenly over a listing file."""
    with open(path, encoding="utf-8", newline="") as f:
        rows = [r["title"] for r in csv.DictReader(f) if r["title"]]
    return [rows[i * len(rows) // count] for i in range(count)]


def generated(count, seed=5):
    """Made-up marketplace titles: words by rank, near-duplicates, units, capitals, repeats."""
    r = random.Random(seed)
    syllables = "ba bu ca da di ga ha ja ka ki la lu ma mi na no pa pe ra ri sa si ta te wa yu".split()
    words = "the and for with new original promo free case baju susu tas wanita pria hitam 250ml 3in1".split()
    while len(words) < 400:
        words.append("".join(r.choice(syllables) for _ in range(r.randint(1, 4))) + r.choice(["", "", "n", "ng", "12"]))
    weights = [1 / (i + 2) for i in range(len(words))]
    out = []
    while len(out) < count:
        base = r.choices(words, weights, k=r.randint(1, 12))
        for _ in range(r.randint(1, 4)):
            w = list(base)
            for _ in range(r.randint(0, 3)):
                w[r.randrange(len(w))] = r.choice(words)
            if r.random() < 0.3:
                r.shuffle(w)
            s = r.choice([" ", " ", " ", "  ", " - ", "/", ", "]).join(w)
            out.append(r.choice([s, s.title(), s.upper(), s + "!!", s + f" {r.randint(1, 500)} ml", s + " " + w[0] * 2]))
    return out[:count - 3] + ["", "   ", "a - b"]


def unicode_titles(seed=9):
    """Titles that part Python's idea of text from others'."""
    hand = [
        "\u0130STANBUL \u0130\u011ene \u0131\u015f\u0131k I\u015eIK Istanbul", "STRA\u1e9eE stra\u00dfe STRASSE Stra\u00dfe",
        "\u039f\u0394\u039f\u03a3 \u03a3\u039f\u03a6\u039f\u03a3 \u039f\u03a3, \u03a3 \u03a3\u03a3", "\u039f\u0394\u039f\u03a3. \u039f\u0394\u039f\u03a3' \u039f\u0394\u039f\u03a3\u0301 x",
        "Cafe\u0301 Caf\u00e9 CAFE\u0301 CAF\u00c9 cafe", "cr\u00e8me br\u00fbl\u00e9e CR\u00c8ME BR\u00dbL\u00c9E",
        "\u725b\u5976 \u5976\u7c89 \u725b\u5976\u7c89 400\u514b", "\u65e5\u672c\u8a9e\u30bf\u30a4\u30c8\u30eb \u304b\u3099\u304c \u30ab\u3099\u30ac", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\uad6d\uc5b4",
        "\U0001f600 lucu \U0001f600\U0001f600 baju\U0001f45ctas", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family \u2764\ufe0f love",
        "susu\u00a0bubuk\u00a0\u00a0400gr", "susu\u3000bubuk\u3000\u3000400gr", "tab\tbed  two\t\tlines", "a\u2003b\u2009\u2009c\u200bd", "x\x1cy\x1d\x1ez\x1f w\x85v",
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u093f\u0924\u093e\u092c \u0926\u0942\u0927", "\u0e19\u0e21\u0e1c\u0e07 \u0e01\u0e34\u0e42\u0e25 \u0e19\u0e49\u0e33", "\u0938\u094d\u0924\u094d\u0930\u0940 \u0915\u092a\u0921\u0947",
        "50 cm\u00b2 50 cm2 x\u00b3 \u00bd kg 1\u00bd", "\u0663\u0664 \u0661\u0662\u0663 \u0969\u096a \u0e53\u0e54 rice", "\u2460\u2461 \u2163 \u216b \u3251 \u5341",
        "\uff26\uff35\uff2c\uff2c \uff37\uff29\uff24\uff34\uff28 \uff11\uff12\uff13 full width 123", "\uff76\uff9e\uff77\uff9e \u30ac\u30ae",
        "\ufb01sh \ufb02oor o\ufb03ce fish floor office", "\u01c4 \u01c5 \u01c6 \u01c8uba", "\u1e9b\u0323 \u1e69 s\u0323\u0307 s\u0307\u0323", "\u212b \u00c5 A\u030a \u2126 \u03a9 \u212a K",
        "new\U0001e030\U0001e031letters \U00011f04\U00011f05 \U0001e4d0\U0001e4d1", "\U00010d50\U00010d51 \U00016ea0x \ua7cb\ua7cc \ua7daq",
        "e\U0001e08f\u0301\u0327 c\U0001e08f", "\U0001d400\U0001d401\U0001d402 \U0001d7d8\U0001d7d9 bold", "\U00020000\U00020001 \U0002a700 \U00031350\U00031351",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0627\u0644\u0639\u0627\u0644\u0645 \u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627",
        "Vi\u1ec7t Nam s\u1eefa b\u1ed9t Vie\u0323\u0302t", "na\u00efve co\u00f6perate na\u0131ve", "\u0141\u00f3d\u017a \u0142\u00f3d\u017a LODZ", "\u00d8l \u00f8l \u00c6on \u00e6on \u0152uvre",
        "don't can\u2019t rock'n'roll", "under_score __ _a a_ _", "a\u00adb soft\u00adhyphen", "\u200fright\u200e left", "\ufeffbom first", "snake\u203fcase \u2040tie",
        "100% \u20ac5 \u00a33 #1 @home", "c++ c# .net", "\u02b0\u02b2 \u1d2c\u1d2d \u02b9x", "\u0345\u03b1\u0345 \u1fb3 \u1fbc \u1fb7", "\u0149 \u01f0 \u1e96 \u1f50",
        "\u10d0\u10d1\u10d2 \u10a0\u10a1 \u1c90\u1c91", "\u13a0\u13a1 \uab70\uab71 \u13f8", "\U00010400\U00010428 \U0001e900\U0001e922", "", " ", "\u3000", "\u0301", "_", "__", "\u00b2", "x", "xy",
    ]
    r = random.Random(seed)
    pool = ("abc XYZ 019_-.' \t\u00a0\u3000\u0130\u0131\u00df\u1e9e\u03a3\u03c3\u03c2\u0391\u03b1\u0301\u0327\u0345\u00e9\u00c9\u725b\u5976\uac00\u1100\u1161\u0e33\u0939\u093f\u094d\u00b2\u00bd\u0663\uff21\uff41\ufb01"
            "\u01c5\U0001f600\u200d\U0001d400\U0001e030\u2160\u2170\u24b6\u24d0\u1fb3\u1fbc\u0149")
    return hand + ["".join(r.choice(pool) for _ in range(r.randint(1, 24))) for _ in range(60)]


def titles(folder):
    sets = {
        "abt-buy": extract(os.path.join(folder, "abt-buy.csv"), 150),
        "amazon-google": extract(os.path.join(folder, "amazon-google.csv"), 150),
        "grocery": extract(os.path.join(folder, "grocery", "listings.csv"), 100),
        "generated": generated(150),
        "unicode": unicode_titles(),
    }
    for name, rows in sets.items():
        dump(f"tests/golden/data/tfidf/titles-{name}.json", rows, indent=0)


# ------------------------------------------------------------------ goldens
SETS = ["abt-buy", "amazon-google", "grocery", "generated", "unicode"]
WORDS = {
    "default": {},
    "competition": dict(stop_words="english", binary=True, max_features=200),
    "bigrams": dict(stop_words="english", ngram_range=(1, 2), sublinear_tf=True),
    "long-grams": dict(ngram_range=(2, 3), min_df=2),
    "l1": dict(norm="l1", sublinear_tf=True),
    "counts": dict(norm=None, use_idf=False),
    "no-smooth": dict(smooth_idf=False, max_df=0.1),
    "shares": dict(min_df=0.02, max_df=0.5, norm=None),
    "case": dict(lowercase=False),
    "case-stop": dict(lowercase=False, stop_words="english", max_features=50),
    "ascii": dict(strip_accents="ascii"),
    "unaccented": dict(strip_accents="unicode"),
    "unaccented-case": dict(strip_accents="unicode", lowercase=False, ngram_range=(1, 2), max_features=300),
    "short-tokens": dict(token_pattern=r"(?u)\b\w+\b", stop_words=["a", "the", "with", "2"]),
    "letters": dict(token_pattern="[a-z]+", norm="l1"),
    "group": dict(token_pattern="([a-z]{2,})[0-9]*", binary=True),
    "stop-list": dict(stop_words=["for", "black", "new", "baju", "the"], binary=True, norm="l1"),
    "rare": dict(max_df=3, binary=True, sublinear_tf=True, smooth_idf=False),
    "window": dict(min_df=2, max_df=10, max_features=40, use_idf=False, norm=None),
    "ties": dict(max_features=30, norm=None, sublinear_tf=True),
    "ties-binary": dict(max_features=30, binary=True, ngram_range=(1, 3)),
    "nothing-rare": dict(min_df=120),
    "crossed": dict(min_df=20, max_df=0.1),
}
CHARS = {
    "char": dict(analyzer="char"),
    "char-grams": dict(analyzer="char", ngram_range=(2, 3), max_features=400, sublinear_tf=True),
    "char-binary": dict(analyzer="char", ngram_range=(3, 3), binary=True, min_df=3, norm="l1"),
    "char-unaccented": dict(analyzer="char", ngram_range=(1, 4), strip_accents="unicode", max_df=0.3, min_df=2, max_features=300),
    "char-share": dict(analyzer="char", ngram_range=(1, 2), use_idf=False, min_df=0.05),
    "borders": dict(analyzer="char_wb", ngram_range=(3, 3), max_features=500),
    "borders-wide": dict(analyzer="char_wb", ngram_range=(2, 5), min_df=4, smooth_idf=False),
    "borders-ascii": dict(analyzer="char_wb", ngram_range=(1, 2), strip_accents="ascii", lowercase=False, norm=None),
    "borders-long": dict(analyzer="char_wb", ngram_range=(6, 8), max_features=300),
}
CHAR_TITLES = 40


def vectorizer(rows, options):
    """A fitted TfidfVectorizer whose max_features cuts ties by the term that sorts first."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    limit = options.get("max_features")
    rest = {k: v for k, v in options.items() if k != "max_features"}
    whole = TfidfVectorizer(**rest)
    whole.fit(rows)
    terms = whole.get_feature_names_out()
    if limit is None or len(terms) <= limit:
        return whole
    weights = ("norm", "use_idf", "smooth_idf", "sublinear_tf")
    counting = CountVectorizer(vocabulary=terms, **{k: v for k, v in rest.items() if k not in weights})
    totals = np.asarray(counting.transform(rows).sum(axis=0)).ravel()
    kept = np.sort(np.argsort(-totals, kind="stable")[:limit])
    cut = TfidfVectorizer(vocabulary=list(terms[kept]), **rest)
    cut.fit(rows)
    return cut


class Values:
    """Matrices as SciPy's save_npz writes them, in one archive, each kept once."""

    def __init__(self, path):
        self.path, self.archive, self.names = path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED), {}

    def add(self, name, matrix):
        import scipy.sparse as sp
        matrix = sp.csr_matrix(matrix)
        matrix.sort_indices()
        out = io.BytesIO()
        sp.save_npz(out, matrix, compressed=True)
        key = hashlib.sha256(matrix.data.tobytes() + matrix.indices.tobytes() + matrix.indptr.tobytes()
                             + repr(matrix.shape).encode()).hexdigest()
        if key not in self.names:
            self.names[key] = name
            self.archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), out.getvalue())
        return self.names[key]

    def close(self):
        self.archive.close()
        print(f"{self.path}: {len(self.names)} matrices, {os.path.getsize(self.path)} bytes")


def goldens():
    import warnings
    warnings.filterwarnings("ignore")
    sets = {n: json.load(open(os.path.join(DATA, f"titles-{n}.json"), encoding="utf-8")) for n in SETS}
    for at, name in enumerate(SETS):
        cases, vocabularies = [], []
        values = Values(os.path.join(DATA, f"values-{name}.zip"))
        for case, options in list(WORDS.items()) + list(CHARS.items()):
            rows = sets[name][:CHAR_TITLES] if case in CHARS else sets[name]
            record = {"case": case, "titles": len(rows), "options": options}
            cases.append(record)
            try:
                fitted = vectorizer(rows, options)
            except ValueError as e:
                record["error"] = str(e)
                continue
            terms = list(fitted.get_feature_names_out())
            if terms not in vocabularies:
                vocabularies.append(terms)
            record["vocabulary"] = vocabularies.index(terms)
            if options.get("use_idf", True):
                record["idf_sum"] = float(fitted.idf_.sum())
            record["values"] = values.add(f"{case}.npz", fitted.transform(rows))
            if case in ("default", "bigrams", "borders"):
                record["transform"] = SETS[at - 1]
                other = sets[SETS[at - 1]][:CHAR_TITLES]
                record["transformed"] = values.add(f"{case}.transform.npz", fitted.transform(other))
        values.close()
        dump(f"tests/golden/data/tfidf/cases-{name}.json", {"cases": cases, "vocabularies": vocabularies}, separators=(",", ":"))


# ------------------------------------------------------------------ store
def store():
    """Small .npy and .npz files by NumPy and SciPy, and what they hold, bit for bit."""
    import numpy as np
    import scipy.sparse as sp
    folder = os.path.join(ROOT, "tests", "golden", "data", "tfidf_store")
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(folder):
        os.remove(os.path.join(folder, old))
    expected = {"dense": {}, "sparse": {}}
    rng = np.random.default_rng(4)
    x = rng.standard_normal((7, 5))
    x[1] = [0.0, -0.0, np.nan, np.inf, -np.inf]
    x[2] = [1e-8, 6.1e-5, 65504.0, 65520.0, -70000.0]
    x[3] = [1e-45, 1e300, -1e39, 1 + 2.0 ** -24, 1 + 3 * 2.0 ** -24]
    x[4] = [1 + 2.0 ** -11, 1 + 3 * 2.0 ** -11, 2.0 ** -25, 3 * 2.0 ** -26, -2.0 ** -24]

    def dense(name, array, version=None, keep=True):
        with open(os.path.join(folder, name), "wb") as f:
            np.lib.format.write_array(f, array, version=version)
        if keep:
            bits = array.astype("<f4").view("<u4")
            expected["dense"][name] = {"shape": list(array.shape), "bits": bits.ravel().tolist()}

    with np.errstate(over="ignore", invalid="ignore"):
        dense("f64.npy", x)
        dense("f32.npy", x.astype("f4"))
        # Rounded from float32, as doppel rounds.
        dense("f16.npy", x.astype("f4").astype("f2"))
        dense("version2.npy", x.astype("f4"), (2, 0))
        dense("version3.npy", x.astype("f4"), (3, 0))
        dense("no_rows.npy", np.zeros((0, 4), "f4"))
        dense("one_value.npy", np.array([[2.5]], "f4"))
        dense("fortran.npy", np.asfortranarray(x.astype("f4")), keep=False)
        dense("one_dimension.npy", x[0].astype("f4"), keep=False)
        dense("three_dimensions.npy", np.zeros((2, 2, 2), "f4"), keep=False)
        dense("big_endian.npy", x.astype(">f4"), keep=False)
        dense("integers.npy", np.arange(6).reshape(2, 3), keep=False)
        dense("structured.npy", np.zeros(3, dtype=[("a", "<f4"), ("b", "<f4")]), keep=False)

    s = sp.random(9, 6, density=0.3, random_state=5, format="csr")
    s.data[:3] = [np.nan, -np.inf, -0.0]
    s.sort_indices()

    def sparse(name, matrix, compressed=True, keep=True):
        sp.save_npz(os.path.join(folder, name), matrix, compressed=compressed)
        if keep:
            m = matrix.copy()
            m.sum_duplicates()
            m.sort_indices()
            expected["sparse"][name] = {
                "shape": list(m.shape), "indptr": m.indptr.tolist(), "indices": m.indices.tolist(),
                "bits": [str(b) for b in m.data.astype("<f8").view("<u8")],
            }

    sparse("csr.npz", s)
    sparse("stored.npz", s, compressed=False)
    sparse("array.npz", sp.csr_array(s))
    sparse("f32.npz", s.astype("f4"))
    wide = s.copy()
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    sparse("int64.npz", wide)
    mixed = sp.csr_matrix((np.arange(1.0, 9.0), np.array([3, 1, 1, 0, 2, 2, 5, 0]), np.array([0, 4, 4, 8])), shape=(3, 6))
    sparse("unsorted.npz", mixed)
    sparse("no_values.npz", sp.csr_matrix((4, 3)))
    sparse("no_rows.npz", sp.csr_matrix((0, 3)))
    sparse("no_columns.npz", sp.csr_matrix((3, 0)))
    for form in ("csc", "coo", "bsr", "dia"):
        sparse(f"{form}.npz", sp.csr_matrix(np.eye(3)).asformat(form), keep=False)
    sparse("integers.npz", sp.csr_matrix(np.eye(3, dtype="i8")), keep=False)
    np.savez(os.path.join(folder, "arrays.npz"), a=np.zeros(3), b=np.ones(2))
    dump("tests/golden/data/tfidf_store/expected.json", expected, separators=(",", ":"))


if __name__ == "__main__":
    verbs = {"tables": tables, "titles": titles, "goldens": goldens, "store": store}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](*sys.argv[2:])

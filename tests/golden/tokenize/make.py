"""Makes the references of tests/golden/tokenize.rs: ids of titles by transformers' fast tokenizers.

    python tests/golden/tokenize/make.py [train]

Needs tokenizers and transformers; versions.txt says which ones made the committed files. `train` makes
the four small tokenizers anew, from a corpus that is made here by a formula. Writes

    FOLDER/...    the trained tokenizers, as Hugging Face folders
    texts.json    the titles
    cases.json    each way to load one of them: the files it has, its configuration, what is changed in
                  its tokenizer.json; and the ids at 256, 128 and 16 tokens (null: as at 256), or
                  the name of the case before that has the same

sentence-transformers 6 calls the tokenizer with truncation="longest_first" and max_seq_length, and for
do_lower_case puts a Lowercase before its normalizer; so does this.
"""

import json
import sys
import tempfile
from pathlib import Path

import tokenizers
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
from transformers import AutoTokenizer

OUT = Path(__file__).resolve().parent
LIMITS = (256, 128, 16)

BRANDS = "Sariwangi Kopikoe Velora Nambara Tjenderawa Oximil Brightex Pöllä Çelik Ñandu Zürnex Kérala".split()
GOODS = (
    "susu bubuk|kopi hitam|teh celup|minyak goreng|sabun cair|sepatu lari|tas ransel wanita|kaos polos|"
    "powder milk|black coffee|running shoes|wireless headphone|phone case|baby diapers|face cream|"
    "lampu LED|kabel data|masker medis|popok bayi|gamis syari|hand sanitizer|stainless tumbler"
).split("|")
WORDS = (
    "original murah termurah promo terlaris BPOM halal ready stok garansi resmi isi pcs gr ml kg cm "
    "best seller new official store free shipping gratis ongkir warna hitam putih merah size dewasa anak "
    "premium import grosir ecer COD bisa bayar ditempat"
).split()
ODD = ["★", "🔥", "👨‍👩‍👧", "❤️", "正品", "奶粉", "日本製", "عربي", "한국", "ไทย", "é", "ü", "½", "№", "™", "\\xe2\\x9c\\x85"]


def corpus():
    """Titles by a formula: what a marketplace's look like, made up."""
    lines, state = [], 12345
    for i in range(3000):
        parts = []
        for _ in range(3 + i % 9):
            state = (state * 1103515245 + 12345) % (1 << 31)
            pick, which = state >> 8, state >> 4 & 15
            if which < 4:
                parts.append(BRANDS[pick % len(BRANDS)])
            elif which < 8:
                parts.append(GOODS[pick % len(GOODS)])
            elif which < 13:
                parts.append(WORDS[pick % len(WORDS)])
            elif which < 15:
                parts.append(f"{pick % 1000}{('gr', 'ml', 'pcs', ' x 3', '%', '.50', 'cm')[pick % 7]}")
            else:
                parts.append(ODD[pick % len(ODD)])
        line = (" ", " - ", " / ", ", ", " | ")[i % 5].join(parts)
        lines.append((line, line.upper(), line.title())[i % 7 % 3])
    return lines


def texts():
    """Edge cases, then titles of the formula."""
    edge = [
        "", " ", "   ", "\t\n\r", "\u00a0\u2003\u3000", "a", "A", ".", "!!!", "?!", "...", "-", "[", "##", "##gr", "▁",
        "▁a", "Ġa", "0", "007", "3.14159", "1,000,000", "1e10", "１２３", "²³", "Ⅷ", "½ kg", "٣٤", "\x00", "a\x00b",
        "\x01\x02", "a\x7fb", "\ufeffa", "a\u200bb", "a\u00adb", "a\u200db", "\ufffd", "a\ufffdb", "\ue000", "\U0010ffff",
        "tab\tbetween", "line\nbetween", "crlf\r\nbetween", "nbsp\u00a0between", " leading", "trailing ", "  two  spaces  ",
        "a" * 99, "a" * 100, "a" * 101, "b" * 300, "a " * 300, "ab " * 130, "é" * 150, "★" * 200, "正" * 140, "😀" * 40,
        "x" * 5000, " " * 400 + "a", "a" + " " * 400 + "b", "word " * 1000, "!" * 300, "1" * 300,
        "[CLS]", "[SEP]", "[UNK]", "[MASK]", "[PAD]", "a [SEP] b", "a[SEP]b", "[sep]", "[CLS] x [SEP]", "<s>", "</s>", "<mask>",
        "<unk>", "<pad>", "a </s> b", "a</s>b", "  <mask>  ", "a <mask> b", "<S>", "&lt;s&gt;", "<s><s></s>", "NEWTOK", "newtok", "a NEWTOKb",
        "a NEWTOK b", "Ａ full width", "ﬁ ligature", "Ǆ ǅ ǆ", "İstanbul", "ISTANBUL ıi", "ß ẞ SS", "Σίσυφος ΣΑΣ", "ŉ", "ΐ",
        "e\u0301", "é", "E\u0301", "a\u0300\u0301\u0302\u0303", "\u0301", "\u0301a", "q\u0323\u0307", "각", "\u1100\u1161\u11a8", "ガ", "か\u3099", "Å Å Å",
        "正品奶粉", "正品 奶粉", "日本製ABC製品", "한국어 제품", "สินค้าไทย", "हिन्दी उत्पाद", "عربي منتج", "مُنْتَج", "עברית", "\u202eabc\u202c", "Русский товар",
        "👨‍👩‍👧", "❤️", "❤", "🇮🇩", "👍🏽", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a👨‍👩‍👧b", "🔥🔥🔥", "☕️kopi", "★★★", "™®©", "№5", "¼½¾",
        "\\xe2\\x9c\\x85 promo", "\\n\\t", "\\", "\\\\x00", "C:\\dir", "a/b/c", "a_b-c", "don't", "it's we'll I'm they've", "'s", "’s", "“quoted”",
        "50%off", "50% off", "$5.99", "€10", "Rp10.000,-", "10x20x30cm", "5*5", "a+b=c", "#hashtag", "@shop", "a@b.c", "http://x.y/z?q=1&r=2", "(isi 3)",
        "{json: [1,2]}", "a;b:c", "~`^", "|", "a|b", "< >", "<b>bold</b>", "MiXeD CaSe", "ALLCAPS", "camelCaseWord", "snake_case", "UPPER123lower",
        "unaffable", "Qzxjvk", "qqqqqq", "zxzxzx qwqw", "ZZZ 999 ~~~", "ⴰⴱⴲ", "𐍈𐍉", "𝒜𝓑𝕮", "①②③", "㎏ ㎝ ℃", "．。、", "「」", "–—―", "\u2028\u2029", "a\u2028b",
        "a\u0085b", "a\u000bb\u000cc", "\u180e", "a\u2060b", "ﷺ", "ﷻ", "Ⓐ", "ｶﾞ", "ꙮ", "ͅ", "ǰ", "\u1e9e",
    ]
    titles = [line for i, line in enumerate(corpus()) if i % 30 == 5]
    long = [" ".join(titles[i : i + 14]) for i in range(0, 56, 14)]
    return edge + titles + long


def train():
    lines = corpus()
    for name, lower in (("wordpiece-uncased", True), ("wordpiece-cased", False)):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer = normalizers.BertNormalizer(lowercase=lower)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
        t.train_from_iterator(lines, trainer)
        t.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(s, t.token_to_id(s)) for s in ("[CLS]", "[SEP]")],
        )
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
        save(t, name, config)
        words = sorted(t.get_vocab(), key=t.token_to_id)
        (OUT / name / "vocab.txt").write_text("".join(w + "\n" for w in words), encoding="utf-8")

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    t.train_from_iterator(lines, trainer)
    ends = [(s, t.token_to_id(s)) for s in ("</s>", "<s>")]
    t.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    save(t, "bytebpe", {"tokenizer_class": "RobertaTokenizer"})
    t.model.save(str(OUT / "bytebpe"))

    t = Tokenizer(models.Unigram())
    steps = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    t.normalizer = normalizers.Sequence(steps)
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=450, special_tokens=special[:4], unk_token="<unk>", show_progress=False
    )
    t.train_from_iterator(lines, trainer)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(s, t.token_to_id(s)) for s in ("<s>", "</s>")],
    )
    save(t, "unigram", {"tokenizer_class": "XLMRobertaTokenizer"})


def save(tokenizer, name, config):
    (OUT / name).mkdir(exist_ok=True)
    tokenizer.save(str(OUT / name / "tokenizer.json"), pretty=False)
    (OUT / name / "tokenizer_config.json").write_text(json.dumps(config) + "\n")


LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": LLAMA}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ],
}
WORDS_ONLY = {
    "type": "Split",
    "pattern": {"Regex": r"[\p{L}\p{N}]+(?![\p{L}\p{N}])"},
    "behavior": "Removed",
    "invert": True,
}
BAKED = {
    "truncation": {"direction": "Left", "max_length": 10, "strategy": "LongestFirst", "stride": 2},
    "padding": {
        "strategy": {"Fixed": 128},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
}
RIGHT = {**BAKED, "truncation": {**BAKED["truncation"], "direction": "Right"}}
TOKENS = {
    "0": {"content": "[PAD]", "special": True, "normalized": False},
    "1": {"content": "[UNK]", "special": True, "normalized": False},
    "2": {"content": "[CLS]", "special": True, "normalized": False},
    "3": {"content": "[SEP]", "special": True, "normalized": False},
    "4": {"content": "[MASK]", "special": True, "normalized": False, "lstrip": True},
    "500": {"content": "NEWTOK", "special": False, "normalized": True, "single_word": True},
}
for token in TOKENS.values():
    for switch in ("single_word", "lstrip", "rstrip"):
        token.setdefault(switch, False)
JSON, TXT, MERGES = ["tokenizer.json"], ["vocab.txt"], ["vocab.json", "merges.txt"]


def case(name, folder, files, model_type, config=None, lowercase=False, patch=None, extra=None):
    """`config` None: the folder's own; `patch` replaces parts of tokenizer.json; `extra` more files."""
    own = json.loads((OUT / folder / "tokenizer_config.json").read_text())
    return {
        "name": name,
        "folder": folder,
        "files": files,
        "lowercase": lowercase,
        "patch": patch or {},
        "written": {
            "config.json": {"model_type": model_type},
            **({} if config == {} else {"tokenizer_config.json": own if config is None else config}),
            **(extra or {}),
        },
    }


def cases():
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    padded = {**fast, "pad_token": "<pad>"}
    named = {f"{n}_token": f"[{n.upper()}]" for n in ("unk", "sep", "pad", "cls", "mask")}
    cased = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}
    roberta = {"tokenizer_class": "RobertaTokenizerFast"}
    plain = {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False}
    return [
        case("bert", "wordpiece-uncased", JSON, "bert"),
        case("bert, vocab.txt", "wordpiece-uncased", TXT, "bert"),
        case("bert, baked", "wordpiece-uncased", JSON, "bert", patch=RIGHT),
        case("bert, baked left", "wordpiece-uncased", JSON, "bert", patch=BAKED),
        case("bert, left named", "wordpiece-uncased", JSON, "bert", {**cased, "truncation_side": "left"}),
        case("bert, config.json alone", "wordpiece-uncased", JSON, "distilbert", {}),
        case("bert, older files", "wordpiece-uncased", TXT, "bert", named, extra={
            "special_tokens_map.json": {**named, "additional_special_tokens": ["promo"]},
            "added_tokens.json": {"NEWTOK": 500, "promo": 501},
        }),
        case("bert, accents", "wordpiece-uncased", JSON, "bert", {"tokenizer_class": "BertTokenizer", **plain}),
        case("bert, added tokens", "wordpiece-uncased", JSON, "bert",
             {"tokenizer_class": "DistilBertTokenizer", "added_tokens_decoder": TOKENS, **named}),
        case("bert, as it stands", "wordpiece-uncased", JSON, "bert", {**fast, **named}),
        case("cased", "wordpiece-cased", JSON, "bert", cased),
        case("cased, vocab.txt", "wordpiece-cased", TXT, "bert", cased),
        case("cased, do_lower_case", "wordpiece-cased", TXT, "bert", cased, lowercase=True),
        case("roberta", "bytebpe", JSON, "roberta"),
        case("roberta, merges", "bytebpe", MERGES, "roberta"),
        case("roberta, prefix space", "bytebpe", JSON, "roberta", {**roberta, "add_prefix_space": True}),
        case("roberta, do_lower_case", "bytebpe", MERGES, "roberta", lowercase=True),
        case("roberta, split", "bytebpe", JSON, "roberta", padded, patch={"pre_tokenizer": SPLIT}),
        case("roberta, words", "bytebpe", JSON, "roberta", padded, patch={"pre_tokenizer": WORDS_ONLY}),
        case("xlm-roberta", "unigram", JSON, "xlm-roberta"),
        case("xlm-roberta of bert", "unigram", JSON, "bert", {"tokenizer_class": "XLMRobertaTokenizerFast"}),
        case("unigram", "unigram", JSON, "xlm-roberta", padded),
        case("unigram, do_lower_case", "unigram", JSON, "xlm-roberta", padded, lowercase=True),
    ]


def ids_of(case, titles):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in case["files"]:
            text = (OUT / case["folder"] / file).read_text(encoding="utf-8")
            if file == "tokenizer.json":
                text = json.dumps({**json.loads(text), **case["patch"]})
            (folder / file).write_text(text, encoding="utf-8")
        for file, value in case["written"].items():
            (folder / file).write_text(json.dumps(value))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    if case["lowercase"]:
        backend = tokenizer.backend_tokenizer
        own = [] if backend.normalizer is None else [backend.normalizer]
        if own and isinstance(own[0], normalizers.Sequence):
            own = list(own[0])
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    rows = []
    for title in titles:
        call = lambda n: tokenizer([title], padding=True, truncation="longest_first", max_length=n)
        full, *shorter = [call(n)["input_ids"][0] for n in LIMITS]
        rows.append([full, *(None if ids == full else ids for ids in shorter)])
    print(f"{case['name']}: {type(tokenizer).__name__}, {sum(len(r[0]) for r in rows)} ids")
    return rows


def main():
    if "train" in sys.argv[1:]:
        train()
    titles = texts()
    (OUT / "texts.json").write_text(json.dumps(titles, ensure_ascii=True, indent=0) + "\n")
    made = []
    for c in cases():
        ids = ids_of(c, titles)
        same = [m["name"] for m in made if m["ids"] == ids]
        made.append({**c, "ids": same[0] if same else ids})
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in made)
    (OUT / "cases.json").write_text(f"[\n{lines}\n]\n")
    modules = (tokenizers, transformers)
    versions = "".join(f"{m.__name__} {m.__version__}\n" for m in modules)
    (OUT / "versions.txt").write_text(versions)
    print(f"{len(titles)} titles, {len(made)} cases")


if __name__ == "__main__":
    main()

"""Makes tiny/: whole folders as Hugging Face and sentence-transformers publish them, of encoders with two
layers of 32 values, and what SentenceTransformer says of 40 titles.

    python tests/golden/text/tiny.py [expected]

Needs sentence-transformers, transformers, tokenizers and safetensors. Weights come from formula.py. The
tokenizers' trainers break ties by chance, so a second run may give other vocabularies, and all else to match;
with `expected` the folders stay as they are.

    bert      the mean; WordPiece; tokenizer.json bakes in a cut at 12 tokens and padding to 16, which
              sentence_bert_config.json (32) overrides; modules.json names a folder that is absent; weights
              under `bert.`, layer norms as `gamma` and `beta`, a pooler, `cls.*` and `position_ids` beside
    distil    the first token; WordPiece from vocab.txt alone, case kept
    roberta   the mean; byte-level BPE, `do_lower_case` in sentence_bert_config.json; weights under
              `roberta.`, `lm_head.*` beside
    xlmr      the first token; Unigram; saved by sentence-transformers itself, whose newer files say
              `pooling_mode`, and the longest title in tokenizer_config.json

Each has expected.json: the titles, their token ids, and their vectors, pooled (`raw`) and of length 1
(`unit`).
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

import titles
from titles import formula

OUT = Path(__file__).resolve().parent / "tiny"
WORDS = 300
SHARED = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64,
}
TITLES = [titles.title(f"tiny {i}") for i in range(29)] + [
    "one <pad> two [PAD]<pad> three", "a", "", "   ", "  spaces  around  ", "ｆｕｌｌ　ｗｉｄｔｈ ﬁ", "[MASK] in brackets [SEP] </s>", "\u200b\u00adsoft\thyphen\r\nand lines",
    "👨‍👩‍👧‍👦👍🏽", "手机壳手机壳", "very " * 40 + "long",
]
CORPUS = [titles.title(f"corpus {i}") for i in range(2000)]


def wordpiece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=special, limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    pair = [(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pair
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    # All bytes, the special tokens, and some merges.
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS + 60, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    pair = [(t, tokenizer.token_to_id(t)) for t in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*pair, trim_offsets=True, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=WORDS, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    pair = [(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=pair
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@torch.no_grad()
def seeded(model):
    for key, value in model.named_parameters():
        values = np.concatenate(list(formula.text(key, tuple(value.shape))))
        value.copy_(torch.from_numpy(values).view(value.shape))
    return model.eval()


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def modules(folder, pool, longest, lowercase=False):
    """What sentence-transformers wrote until 2025. The third folder is never there."""
    kinds = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    write(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(zip(paths, kinds))
    ])
    write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": pool == "cls",
        "pooling_mode_mean_tokens": pool == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })
    write(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": lowercase})


def old(tensors):
    """As files from before 2019 have it."""
    return {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in tensors.items()}


def save(folder, model, rename=lambda tensors: tensors, prefix="", beside={}):
    model.config.save_pretrained(folder)
    tensors = {prefix + k: v.detach().contiguous().clone() for k, v in model.named_parameters()}
    save_file(rename(tensors) | beside, folder / "model.safetensors", metadata={"format": "pt"})


def bert(folder):
    tokenizer = wordpiece(lowercase=True)
    model = seeded(BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **SHARED)))
    words = tokenizer.get_vocab_size()
    beside = {
        "bert.embeddings.position_ids": torch.arange(64)[None],
        "cls.predictions.bias": torch.zeros(words),
        "cls.predictions.transform.dense.weight": torch.zeros(32, 32),
        "cls.predictions.transform.LayerNorm.gamma": torch.ones(32),
        "cls.seq_relationship.weight": torch.zeros(2, 32),
    }
    save(folder, model, old, "bert.", beside)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]",
        model_max_length=64,
    )
    fast.save_pretrained(folder)
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    fields = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 64}
    write(folder / "tokenizer_config.json", fields)
    modules(folder, "mean", 32)


def distil(folder):
    tokenizer = wordpiece(lowercase=False)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64}
    save(folder, seeded(DistilBertModel(DistilBertConfig(vocab_size=tokenizer.get_vocab_size(), **sizes))))
    tokenizer.model.save(str(folder))
    fields = {"do_lower_case": False, "tokenizer_class": "DistilBertTokenizer", "model_max_length": 64}
    write(folder / "tokenizer_config.json", fields)
    modules(folder, "cls", 48)


def roberta(folder):
    tokenizer = byte_level()
    words = tokenizer.get_vocab_size()
    config = RobertaConfig(vocab_size=words, layer_norm_eps=1e-5, type_vocab_size=1, **SHARED)
    beside = {"lm_head.bias": torch.zeros(words), "lm_head.layer_norm.weight": torch.ones(32)}
    save(folder, seeded(RobertaModel(config, add_pooling_layer=False)), prefix="roberta.", beside=beside)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    fields = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 62, "add_prefix_space": False}
    write(folder / "tokenizer_config.json", fields)
    modules(folder, "mean", 56, lowercase=True)


def xlmr(folder):
    tokenizer = unigram()
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), layer_norm_eps=1e-5, type_vocab_size=1, pad_token_id=1, **SHARED
    )
    plain = folder / "plain"
    plain.mkdir()
    save(plain, seeded(XLMRobertaModel(config)))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>",
        unk_token="<unk>", mask_token="<mask>", model_max_length=48,
    ).save_pretrained(plain)
    SentenceTransformer(modules=[Transformer(str(plain)), Pooling(32, pooling_mode="cls")]).save(str(folder), create_model_card=False)
    shutil.rmtree(plain)


def numbers(rows):
    return [[float(f"{x:.9g}") for x in row] for row in rows]


def check(path, ids, longest):
    """That tokenizer.json alone, without what transformers makes of it, says the same."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    lower = path.parent.name == "roberta"
    own = [tokenizer.encode(t.lower() if lower else t).ids for t in TITLES]
    assert own == ids, [(t, a, b) for t, a, b in zip(TITLES, own, ids) if a != b]


def expect(folder):
    model = SentenceTransformer(str(folder), device="cpu")
    # Without the third module, which would make the pooled vectors unit ones.
    pooled = SentenceTransformer(modules=[model[0], model[1]], device="cpu")
    ids = [model[0].preprocess([t])["input_ids"][0].tolist() for t in TITLES]
    plain = folder / "tokenizer.json"
    if plain.exists():
        check(plain, ids, model.get_max_seq_length())
    one = lambda unit: [pooled.encode([t], normalize_embeddings=unit)[0] for t in TITLES]
    raw, unit = one(False), one(True)
    assert np.abs(model.encode(TITLES, normalize_embeddings=True) - np.stack(unit)).max() < 1e-6
    expected = {"titles": TITLES, "ids": ids, "raw": numbers(raw), "unit": numbers(unit)}
    (folder / "expected.json").write_text(
        "{\n" + ",\n".join(
            f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in expected.items()
        ) + "\n}\n"
    )
    cos = np.stack(unit) @ np.stack(unit).T
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) >> 10
    unlike = cos[~np.eye(len(cos), dtype=bool)]
    print(folder.name, [len(i) for i in ids], f"cosines {unlike.min():.2f} to {unlike.max():.4f}", f"{size} KiB")


def main():
    torch.set_num_threads(1)
    for make in (bert, distil, roberta, xlmr):
        folder = OUT / make.__name__
        if "expected" not in sys.argv:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            (folder / "model.safetensors").chmod(0o644)
        expect(folder)


if __name__ == "__main__":
    main()

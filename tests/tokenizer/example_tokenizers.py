"""Write tokenizer directories as other tools do, and generate strings that are hard to tokenize.

Some directories hold real vocabularies from the shared data sets, others small trained ones.
"""

import base64
import functools
import json
import lzma
import random
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from chatwright.tokenizer.byte_bpe import bytes_to_unicode

TEXT = [
    "The quick brown fox doesn't jump over 12 lazy dogs, it's 2024.\n" * 30,
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.\n" * 30,
    "def add(a, b):\n    return a + b\n\n\n\tif x == 1000:\n        print('hello world')\n" * 30,
    "東京は日本の首都です。 🙂 " * 30,
]
# How GPT-4's tokenizer (cl100k) splits a text into words.
CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Parts of hard strings: Unicode, numbers, code, spaces, and symbols that tokenizers use themselves.
PIECES = [
    "a",
    "Ab",
    "don't",
    "it's",
    "WORLD",
    "naïve",
    "e\u0301",
    "ﬁ½Ⅷ²",
    "İstanbul",
    "Straße",
    "東京は",
    "한국어",
    "العربية",
    "עברית",
    "हिन्दी",
    "ไทย",
    "👩\u200d👩\u200d👧\u200d👦",
    "🏳️\u200d🌈",
    "1",
    "12",
    "1234567",
    "3.14",
    "१२३",
    "x==y",
    "://",
    "...",
    "—",
    "“q”",
    "<",
    "|",
    ">",
    "[",
    "]",
    "#",
    "##ing",
    "▁",
    "Ġ",
    "\\n",
    "http://a.b/c?d=e",
    "me@x.org",
    " ",
    "  ",
    "     ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\u00a0",
    "\u2003",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b[0m",
    "\u0301",
    "\ufffd",
    "\U0010ffff",
]


def hard_strings(count: int = 1000) -> list[str]:
    """Return special cases and random mixtures of PIECES with any other character."""
    rng = random.Random(0)
    texts = ["", " ", "  lead", "trail  ", "\n", "a" * 2000, "ab " * 700, " " * 300, *PIECES]
    while len(texts) < count:
        pieces = []
        for _ in range(rng.randint(1, 14)):
            if rng.random() < 0.8:
                pieces.append(rng.choice(PIECES))
            else:
                code_points = [rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x110000)]
                pieces.append(chr(rng.choice(code_points)))
        texts.append("".join(pieces))
    return texts[:count]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_gpt2(directory: Path, shared: Path) -> Path:
    """Write the real vocabulary of GPT-2: vocab.json and merges.txt."""
    for name, source in (
        ("vocab.json", "gpt2_encoder.json.xz"),
        ("merges.txt", "gpt2_vocab.bpe.xz"),
    ):
        (directory / name).write_bytes(
            lzma.decompress((shared / "tokenizers" / source).read_bytes())
        )
    return directory


def write_bert(directory: Path, shared: Path, **settings: Any) -> Path:
    """Write the real vocabulary of BERT: vocab.txt. `settings` go to tokenizer_config.json."""
    (directory / "vocab.txt").write_bytes(
        (shared / "tokenizers/bert-base-uncased-vocab.txt").read_bytes()
    )
    write_json(
        directory / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **settings}
    )
    return directory


def write_llama3(directory: Path, shared: Path) -> Path:
    """Write tokenizer.json like Llama 3's: the real cl100k vocabulary and special tokens after it.

    A word that is in the vocabulary becomes one token without merging (`ignore_merges`).
    """
    library = tokenizers.Tokenizer.from_str(_cl100k(shared / "tokenizers/cl100k_base.tiktoken.xz"))
    special = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ]
    library.add_special_tokens([AddedToken(token, special=True) for token in special])
    begin = library.token_to_id(special[0])
    library.post_processor = processors.TemplateProcessing(
        single=f"{special[0]} $A", special_tokens=[(special[0], begin)]
    )
    library.save(str(directory / "tokenizer.json"))
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": special[0],
            "eos_token": special[4],
        },
    )
    return directory


@functools.cache
def _cl100k(path: Path) -> str:
    """Convert tiktoken's ranks to a tokenizer.json."""
    ranks = {
        base64.b64decode(token): int(rank)
        for token, rank in map(bytes.split, lzma.decompress(path.read_bytes()).splitlines())
    }
    characters = bytes_to_unicode()
    vocab = {"".join(characters[byte] for byte in token): rank for token, rank in ranks.items()}
    merges = _merges(ranks, characters)
    library = tokenizers.Tokenizer(models.BPE(vocab, merges, ignore_merges=True))
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(CL100K_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    return library.to_str()


def _merges(ranks: dict[bytes, int], characters: list[str]) -> list[tuple[str, str]]:
    """Return the two tokens that each token was merged from.

    They are what BPE makes of the token's bytes with the merges of lower rank.
    """
    merges = []
    for token, rank in ranks.items():
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            pair_ranks = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
            i = pair_ranks.index(min(pair_ranks))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            left, right = ("".join(characters[byte] for byte in part) for part in parts)
            merges.append((left, right))
    return merges


def write_chatml(directory: Path) -> Path:
    """Write tokenizer.json like Qwen's: special tokens, and <tool_call>, which is not special."""
    library = tokenizers.Tokenizer(models.BPE())
    library.normalizer = normalizers.NFC()
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(CL100K_PATTERN.replace("{1,3}", "")), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=500,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    library.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    library.add_tokens(
        [AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)]
    )
    library.save(str(directory / "tokenizer.json"))
    template = (
        "{%- if messages[0].role != 'system' %}"
        "{{- '<|im_start|>system\\nYou are a test.<|im_end|>\\n' }}{%- endif %}"
        "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n'"
        " + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    )
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "chat_template": template,
            "add_bos_token": False,
        },
    )
    return directory


def write_llama2(directory: Path) -> Path:
    """Write tokenizer.json like Llama 2's, which was converted from SentencePiece.

    BPE over whole texts, spaces as "▁", bytes for unknown characters, <s> before every text.
    """
    library = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    # While training, no token crosses the end of a word.
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    library.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    library.pre_tokenizer = None
    document = json.loads(library.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    # As in conversions from SentencePiece, merges can build the text of a special token.
    vocab = document["model"]["vocab"]
    for piece in ("<", "/", "s", ">", "</", "s>"):
        vocab.setdefault(piece, len(vocab))
    document["model"]["merges"] += [["<", "/"], ["s", ">"], ["<", "s>"], ["</", "s>"]]
    document["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    write_json(directory / "tokenizer.json", document)
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        },
    )
    return directory


def write_unigram(directory: Path) -> Path:
    """Write tokenizer.json like T5's: a Unigram model with special tokens among its pieces."""
    library = tokenizers.Tokenizer(models.Unigram())
    library.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    )
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    library.decoder = decoders.Metaspace(prepend_scheme="always")
    library.train_from_iterator(
        TEXT,
        trainers.UnigramTrainer(
            vocab_size=300,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    library.save(str(directory / "tokenizer.json"))
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        },
    )
    return directory


def write_marian(directory: Path) -> Path:
    """Write MarianMT's files: source.spm, target.spm and vocab.json.

    As in the published models, vocab.json lacks some pieces of both languages.
    """
    english = "".join(TEXT[:1] * 3 + TEXT[2:3])
    german = TEXT[1] + "Die Hunde und die Katze sitzen auf der Matte, das ist so.\n" * 30
    pieces: list[str] = []
    for side, text in (("source", english), ("target", german)):
        (directory / f"{side}.txt").write_text(text)
        sentencepiece.SentencePieceTrainer.train(
            input=str(directory / f"{side}.txt"),
            model_prefix=str(directory / side),
            vocab_size=120,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (directory / f"{side}.model").rename(directory / f"{side}.spm")
        model = sentencepiece.SentencePieceProcessor(model_file=str(directory / f"{side}.spm"))
        pieces += [model.id_to_piece(i) for i in range(3, model.get_piece_size()) if i % 10]
        for leftover in (f"{side}.txt", f"{side}.vocab"):
            (directory / leftover).unlink()
    write_json(
        directory / "vocab.json",
        {piece: i for i, piece in enumerate(dict.fromkeys(["</s>", "<unk>", *pieces, "<pad>"]))},
    )
    write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"},
    )
    return directory


def write_byte_level(directory: Path) -> Path:
    """Write vocab.json and merges.txt like GPT-2's, with a small vocabulary."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TEXT, trainer)
    library.model.save(str(directory))
    write_json(directory / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    return directory


def write_gpt1(directory: Path) -> Path:
    """Write vocab.json and merges.txt like GPT-1's, where words end with </w>."""
    library = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
        ),
    )
    library.model.save(str(directory))
    write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": "<unk>"},
    )
    return directory


def write_word_pieces(directory: Path) -> Path:
    """Write vocab.txt like BERT's: a few words and all their letters."""
    words = sorted({word.strip(".,;'()") for text in TEXT for word in text.lower().split()} - {""})
    letters = sorted({letter for word in words for letter in word})
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *(w for w in words if len(w) > 1),
    ]
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    write_json(directory / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    return directory


# Writers of directories, by kind: small vocabularies trained here, and real ones.
SMALL = {
    "chatml": write_chatml,
    "llama2": write_llama2,
    "unigram": write_unigram,
    "gpt1": write_gpt1,
}
REAL = {"gpt2": write_gpt2, "bert": write_bert, "llama3": write_llama3}

"""A tokenizer for tests: one id per byte, then two control tokens."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class ByteTokenizer:
    prefix = ""
    vocab_size = 258
    control: Any = SimpleNamespace(bos=256, end=257)
    chat_format = None
    public_ids: Any = None

    def encode(self, text: str) -> Any:
        return list(text.encode("utf-8"))

    def encode_batch(self, texts: Sequence[str]) -> Any:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i for i in ids if i < 256).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def save(self, directory: Path) -> None:
        raise NotImplementedError

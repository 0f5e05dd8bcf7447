"""A byte tokenizer, and a model that samples scripted tokens, so that its replies are known."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from chatwright.conversation import Message
from chatwright.model.gpt_config import GPTConfig
from chatwright.tokenizer.chat_format import own_format
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds, TextIds


def exchanges(n: int) -> list[Message]:
    """Return n questions, each followed by its answer."""
    return [
        message
        for i in range(n)
        for message in (Message("user", f"question {i}"), Message("assistant", f"answer {i}"))
    ]


class ByteTokenizer:
    """One id per byte, so that a character beyond ASCII takes several tokens."""

    prefix = ""

    vocab_size = 256 + len(CONTROL_TOKENS)
    control = ControlIds.after_text(256)
    chat_format = own_format(control)

    def encode(self, text: str) -> TextIds:
        return TextIds(list(text.encode("utf-8")))

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""


class ScriptedModel(nn.Module):
    """Samples script[n] after n tokens, or the letter "x" where the script has no entry."""

    def __init__(self, script: dict[int, int], context_length: int) -> None:
        super().__init__()
        self.config = GPTConfig(
            vocab_size=ByteTokenizer.vocab_size,
            context_length=context_length,
            n_layer=1,
            n_head=1,
            n_kv_head=1,
            head_dim=2,
            d_model=2,
            d_ff=2,
        )
        self.embedding = SimpleNamespace(weight=torch.zeros(1))
        self.device = torch.device("cpu")
        self.script = script

    def hidden_states(
        self,
        token_ids: Tensor,
        mask: object,
        positions: Tensor,
        cache: object,
        head_gates: object = None,
    ) -> Tensor:
        return positions[..., None] + 1

    def head(self, hidden: Tensor) -> Tensor:
        next_ids = torch.tensor([self.script.get(int(n), ord("x")) for n in hidden.flatten()])
        return nn.functional.one_hot(next_ids, self.config.vocab_size).float() * 50

"""A decoder prepared for inference: packed kernels, tiled attention, logits of last tokens only.

On a CPU in float32, the logits of a text are bit-identical whatever other texts are in the batch.
On other devices the kernels are torch's own, and bits may depend on the batch.
`batch_invariance.py` checks your machine.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.engine.cache_plan import TokenMemory
from chatwright.engine.packed_model import PackedModel
from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.model.heads import last_token
from chatwright.model.kv_cache import DenseCache
from chatwright.model.packed_weight import FLOAT32, WeightFormat


class Forward(PackedModel[GPT]):
    """Computes next-token logits. Use it in a `with` statement, or call `close`."""

    def __init__(
        self,
        model: GPT,
        keeps_weights: bool = True,
        longest: int | None = None,
        weight_format: WeightFormat = FLOAT32,
    ) -> None:
        """Pack the model (`packed_model.py`) and put it in eval mode.

        Args:
            model: The model.
            keeps_weights: Whether the weights stay beside their packed copies. If not, the model
                cannot be used after `close`.
            longest: Longest text in tokens; a small one makes attention faster. Default: the
                model's context. The bits of the logits depend on it.
            weight_format: How the weights are stored (`formats.py`).

        Raises:
            InputError: The model has no language-model head.
        """
        if model.head is None:
            remedy = "Generate text with a model that has a language-model head."
            if model.scalar_head is not None:
                remedy = "It is a reward model. Score replies with: chatwright score DIR FILE"
            raise InputError(
                f"This model has the head {model.config.head!r}, which gives no next token.",
                remedy=remedy,
                field="head",
                value=model.config.head,
            )
        super().__init__(model, keeps_weights, weight_format)
        self.config = model.config
        context_length = self.config.context_length
        self.key_block = masks.block_size(min(longest or context_length, context_length))

    def make_cache(self, n_slot: int, context_length: int | None = None) -> DenseCache:
        """Prepare a KV cache for `n_slot` texts; by default they may fill the model's context."""
        config = self.config
        return DenseCache(
            config.n_layer,
            n_slot,
            config.n_kv_head,
            config.head_dim,
            self._whole_blocks(context_length or config.context_length),
            self.model.embedding.weight.dtype,
            self.device,
            self.key_block,
        )

    @torch.no_grad()
    def logits(
        self,
        chunks: Sequence[Sequence[int]],
        starts: Sequence[int],
        cache: DenseCache | None = None,
        slots: Sequence[int] | None = None,
    ) -> Tensor:
        """Compute the logits after each chunk's last token. -> (B, V).

        The arguments are those of `hidden_states`.
        """
        return self.last_logits(self.hidden_states(chunks, starts, cache, slots), chunks)

    @torch.no_grad()
    def last_logits(self, hidden: Tensor, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Compute the logits after each chunk's last token. (B, T, D) -> (B, V)."""
        lengths = [len(chunk) for chunk in chunks]
        if min(lengths) == hidden.shape[1]:
            return self.head(last_token(hidden, None))
        return self.head(last_token(hidden, torch.tensor(lengths, device=self.device)))

    @torch.no_grad()
    def head(self, hidden: Tensor) -> Tensor:
        """Compute the logits after each vector. (..., D) -> (..., V)."""
        assert self.model.head is not None, "the constructor refuses a model without it"
        logits: Tensor = self.model.head(hidden)
        return logits

    @torch.no_grad()
    def hidden_states(
        self,
        chunks: Sequence[Sequence[int]],
        starts: Sequence[int],
        cache: DenseCache | None = None,
        slots: Sequence[int] | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Compute the last hidden states of all tokens. -> (B, T, D), with padding.

        Args:
            chunks: B lists of token ids, of any lengths.
            starts: Position of each chunk's first token in its text.
            cache: Keys and values of the tokens before the chunks. Without a cache, each chunk is
                a whole text and starts at 0.
            slots: The cache slot of each chunk.
            head_gates: (n_layer, B, H) factors of the heads' outputs (`head_gates.py`).
        """
        assert cache is not None or not any(starts), "without a cache every chunk has to start at 0"
        lengths = [len(chunk) for chunk in chunks]
        T = max(lengths)
        token_ids = torch.tensor(
            [[*chunk, *[0] * (T - len(chunk))] for chunk in chunks], device=self.device
        )  # (B, T)
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        positions = torch.tensor(
            [
                [*range(start, end), *[-1] * (T - (end - start))]
                for start, end in zip(starts, ends, strict=True)
            ],
            device=self.device,
        )  # (B, T), -1 for padding
        n_keys = T
        if cache is not None:
            n_keys = self._whole_blocks(max(ends))
            assert slots is not None, "a cache needs the slots of the chunks"
            cache.start_step(torch.tensor(slots, device=self.device), positions, n_keys)
        # Padding sees the first token, so that every query sees a key.
        query_positions = positions.clamp(min=0)
        mask = self._mask(query_positions, n_keys)
        hidden: Tensor = self.model.hidden_states(
            token_ids, mask, query_positions, cache, head_gates=head_gates
        )
        return hidden

    def _mask(self, positions: Tensor, n_keys: int) -> masks.Mask:
        if not self.has_packed_kernels:
            return masks.causal(positions, n_keys)
        n_padded_key = self._whole_blocks(n_keys)
        return masks.causal_tiles(
            positions, n_padded_key, self.config.n_head, self.config.n_kv_head
        )

    def _whole_blocks(self, n_keys: int) -> int:
        return -(-n_keys // self.key_block) * self.key_block


def token_memory(model: GPT, chunk: int, key_block: int | None = None) -> TokenMemory:
    """Compute what a token of context costs, if prompts are read `chunk` tokens at a time.

    `key_block` is that of `Forward`; by default the model's.
    """
    config = model.config
    n_number = 2 * config.n_layer * config.n_kv_head * config.head_dim
    key_block = key_block or masks.block_size(config.context_length)
    # The mask of a chunk holds a float for each query and query head. It is made for one group of
    # heads, with its bool masks, and then repeated for the others.
    mask_bytes = chunk * config.n_head * (4 + 8 / config.n_kv_head)
    # Queries, results and weighted results of a chunk are kept for each block of keys.
    block_bytes = 3 * chunk * config.n_head * config.head_dim * 4
    return TokenMemory(
        cache_bytes=n_number * model.embedding.weight.dtype.itemsize,
        step_bytes=round(mask_bytes + block_bytes / key_block),
        block=key_block,
    )

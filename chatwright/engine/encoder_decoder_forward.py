"""An encoder-decoder prepared for inference: packed kernels, tiled attention, a cache.

On a CPU in float32, the translation of a sentence is bit-identical whatever other sentences are in
the batch (see `forward.py`). The cost: keys are padded to a multiple of 128, or to the context
length if that is less.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.engine.packed_model import PackedModel
from chatwright.model import masks
from chatwright.model.attention import KeyValues
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.kv_cache import DenseCache


class EncoderDecoderForward(PackedModel[EncoderDecoder]):
    """Encodes sources and starts their decoding. Use it in a `with` statement, or call `close`."""

    def __init__(self, model: EncoderDecoder) -> None:
        """Pack the model (`packed_model.py`) and put it in eval mode."""
        super().__init__(model)
        self.config = model.config
        self.key_block = masks.block_size(self.config.context_length)

    @torch.no_grad()
    def start(self, sources: Sequence[Sequence[int]], n_beam: int = 1) -> "TranslationBatch":
        """Encode the sources; return a batch with `n_beam` empty translations of each."""
        longest = max(map(len, sources))
        token_ids = torch.tensor(
            [[*ids, *[0] * (longest - len(ids))] for ids in sources], device=self.device
        )  # (B, S)
        n_keys = self.whole_blocks(longest) if self.has_packed_kernels else longest
        lengths = torch.tensor([len(ids) for ids in sources], device=self.device)
        allowed = masks.padding(lengths, n_keys)  # (B, 1, 1, n_keys)
        encoded = self.model.encode(token_ids, self.mask(allowed.expand(-1, -1, longest, -1)))
        memory: list[KeyValues] = []
        for keys, values in self.model.cross_key_values(encoded):
            keys, values = (_pad_keys(x, n_keys) for x in (keys, values))
            memory.append(
                KeyValues(
                    keys.repeat_interleave(n_beam, dim=0), values.repeat_interleave(n_beam, dim=0)
                )
            )
        return TranslationBatch(
            self,
            memory,
            allowed.repeat_interleave(n_beam, dim=0),
            torch.arange(len(sources)).repeat_interleave(n_beam),
        )

    def mask(self, allowed: Tensor) -> masks.Mask:
        """Convert a bool mask to the kind that the kernels of this machine take."""
        if not self.has_packed_kernels:
            return allowed
        return masks.tile_mask(allowed, self.config.n_head, self.config.n_head)

    def whole_blocks(self, n_keys: int) -> int:
        """Round a number of keys up to a multiple of the block size."""
        return -(-n_keys // self.key_block) * self.key_block


def _pad_keys(x: Tensor, n_keys: int) -> Tensor:
    """Pad (B, H, S, Dh) to (B, H, n_keys, Dh) once, so that no decoding step has to."""
    return torch.nn.functional.pad(x, (0, 0, 0, n_keys - x.shape[2]))


class TranslationBatch:
    """N unfinished translations, each with its encoded source (a `beam_search.DecodingBatch`)."""

    def __init__(
        self,
        forward: EncoderDecoderForward,
        memory: list[KeyValues],
        allowed: Tensor,
        sources: Tensor,
    ) -> None:
        """Allocate the cache.

        Args:
            forward: The prepared model.
            memory: Keys and values of each row's source, per layer: (N, H, S, Dh).
            allowed: (N, 1, 1, S), True for source tokens and False for padding.
            sources: (N,), the index of each row's source.
        """
        self.forward = forward
        self.memory = memory
        self.allowed = allowed
        self.sources = sources.to(forward.device)
        self.n_token = 0
        config = forward.config
        self.cache = DenseCache(
            config.n_decoder_layer,
            len(allowed),
            config.n_head,
            config.head_dim,
            forward.whole_blocks(config.context_length),
            forward.model.embedding.weight.dtype,
            forward.device,
        )
        self.memory_mask = forward.mask(allowed)

    @torch.no_grad()
    def next_logits(self, token_ids: Tensor) -> Tensor:
        """Add one token to each row and compute the logits after it. (N,) -> (N, V)."""
        forward, n_row = self.forward, len(token_ids)
        positions = torch.full((n_row, 1), self.n_token, device=forward.device)
        n_keys = self.n_token + 1
        if forward.has_packed_kernels:
            n_keys = forward.whole_blocks(n_keys)
        self.cache.start_step(torch.arange(n_row, device=forward.device), positions, n_keys)
        hidden = forward.model.decode(
            token_ids[:, None].to(forward.device),
            self.memory,
            self.memory_mask,
            forward.mask(masks.causal(positions, n_keys)),
            positions,
            self.cache,
        )  # (N, 1, D)
        self.n_token += 1
        logits: Tensor = forward.model.head(hidden[:, 0])
        return logits

    def select(self, rows: Tensor) -> None:
        """Copy row rows[i] to row i, for every i, and drop the rows beyond. (N',)."""
        rows = rows.to(self.forward.device)
        sources = self.sources[rows]
        # Rows of one source have equal keys and values, so reordering these rows copies nothing.
        if not torch.equal(sources, self.sources):
            self.sources = sources
            self.memory = [KeyValues(keys[rows], values[rows]) for keys, values in self.memory]
            self.allowed = self.allowed[rows]
            self.memory_mask = self.forward.mask(self.allowed)
        self.cache.select(rows, self.n_token)

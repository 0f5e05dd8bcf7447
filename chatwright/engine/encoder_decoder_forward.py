"""An encoder-decoder as inference runs it: packed kernels, tiled attention, the source read once, a cache for what is written.

On the CPU in float32 every step gives a row the same bits whatever it is computed with, as in `forward.py`: a sentence translated alone
equals the same sentence among others. The price is that keys are padded to whole blocks, for short contexts to the context.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.model import masks
from chatwright.model.attention import KeyValues
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.kv_cache import DenseCache
from chatwright.model.linear import Linear, pack_linears, unpack_linears


class EncoderDecoderForward:
    def __init__(self, model: EncoderDecoder) -> None:
        self.model, self.config, self.device = model, model.config, model.device
        self._was_packed = any(
            isinstance(module, Linear) and module.packed is not None for module in model.modules()
        )
        self._was_training = model.training
        model.eval()
        self.is_exact = pack_linears(model)
        self.key_block = masks.block_size(self.config.context_length)

    def close(self) -> None:
        """Leave the model as it was found: trainable again, if it was."""
        if not self._was_packed:
            unpack_linears(self.model)
        self.model.train(self._was_training)

    def __enter__(self) -> "EncoderDecoderForward":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @torch.no_grad()
    def begin(self, sources: Sequence[Sequence[int]], width: int = 1) -> "Translations":
        """Read the sources; `width` rows each are then ready to be written."""
        longest = max(map(len, sources))
        token_ids = torch.tensor(
            [[*ids, *[0] * (longest - len(ids))] for ids in sources], device=self.device
        )  # (B, S)
        n_keys = self.whole_blocks(longest) if self.is_exact else longest
        allowed = masks.padding(
            torch.tensor([len(ids) for ids in sources], device=self.device), n_keys
        )  # (B, 1, 1, n_keys)
        encoded = self.model.encode(token_ids, self.mask(allowed.expand(-1, -1, longest, -1)))
        memory = [
            KeyValues(*(_padded(part, n_keys).repeat_interleave(width, dim=0) for part in read))
            for read in self.model.cross_key_values(encoded)
        ]
        return Translations(
            self,
            memory,
            allowed.repeat_interleave(width, dim=0),
            torch.arange(len(sources)).repeat_interleave(width),
        )

    def mask(self, allowed: Tensor) -> masks.Mask:
        return (
            masks.tile_mask(allowed, self.config.n_head, self.config.n_head)
            if self.is_exact
            else allowed
        )

    def whole_blocks(self, n_keys: int) -> int:
        return -(-n_keys // self.key_block) * self.key_block


def _padded(x: Tensor, n_keys: int) -> Tensor:
    """(B, H, S, Dh) -> (B, H, n_keys, Dh): once here, or at every step in the attention."""
    return torch.nn.functional.pad(x, (0, 0, 0, n_keys - x.shape[2]))


class Translations:
    """N rows of a text being written, each beside the source it translates (`beam_search.Beginnings`)."""

    def __init__(
        self,
        forward: EncoderDecoderForward,
        memory: list[KeyValues],
        allowed: Tensor,
        texts: Tensor,
    ) -> None:
        self.forward, self.memory, self.allowed, self.texts = (
            forward,
            memory,
            allowed,
            texts.to(forward.device),
        )
        self.n_token, config = 0, forward.config
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
        """Each row reads one more token. (N,) -> (N, V)"""
        forward, n = self.forward, len(token_ids)
        positions = torch.full((n, 1), self.n_token, device=forward.device)
        n_keys = forward.whole_blocks(self.n_token + 1) if forward.is_exact else self.n_token + 1
        self.cache.start_step(torch.arange(n, device=forward.device), positions, n_keys)
        hidden = forward.model.decode(
            token_ids[:, None].to(forward.device),
            self.memory,
            self.memory_mask,
            forward.mask(masks.causal(positions, n_keys)),
            positions,
            self.cache,
        )
        self.n_token += 1
        logits: Tensor = forward.model.head(hidden[:, 0])
        return logits

    def select(self, rows: Tensor) -> None:
        """Row i goes on from what row rows[i] wrote, beside that row's source. (N',)"""
        rows = rows.to(self.forward.device)
        texts = self.texts[rows]
        if not torch.equal(
            texts, self.texts
        ):  # rows of one text look at the same source: exchanging them moves nothing
            self.texts = texts
            self.memory = [KeyValues(keys[rows], values[rows]) for keys, values in self.memory]
            self.allowed = self.allowed[rows]
            self.memory_mask = self.forward.mask(self.allowed)
        self.cache.select(rows, self.n_token)

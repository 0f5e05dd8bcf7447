"""The model as inference runs it: packed kernels, tiled attention, logits of each row's last token only.

On the CPU in float32 every step here gives a row the same bits whatever it is computed with; elsewhere it runs the ordinary
kernels and promises nothing. `batch_invariance.py` checks the promise on the machine at hand.

Packing copies the weights. While a Forward is open the model sees the weights as they were when it was made and cannot be trained.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.gpt import GPT, last_token
from chatwright.model.kv_cache import DenseCache
from chatwright.model.linear import Linear, pack_linears, unpack_linears


class Forward:
    def __init__(self, model: GPT) -> None:
        if model.head is None:
            raise InputError(
                f"This model has the head {model.config.head!r}, which gives no next token.",
                remedy="Generate text with a model that has a language-model head.",
                field="head",
                value=model.config.head,
            )
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

    def __enter__(self) -> "Forward":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make_cache(self, n_slot: int) -> DenseCache:
        config = self.config
        return DenseCache(
            config.n_layer,
            n_slot,
            config.n_kv_head,
            config.head_dim,
            self._whole_blocks(config.context_length),
            self.model.embedding.weight.dtype,
            self.device,
        )

    def cache_bytes(self, n_slot: int) -> int:
        config = self.config
        return (
            2
            * 4
            * n_slot
            * config.n_layer
            * config.n_kv_head
            * config.head_dim
            * (self._whole_blocks(config.context_length) + 1)
        )

    @torch.no_grad()
    def logits(
        self,
        chunks: Sequence[Sequence[int]],
        starts: Sequence[int],
        cache: DenseCache | None = None,
        rows: Sequence[int] | None = None,
    ) -> Tensor:
        """What each chunk's last token predicts, when chunk b continues row b's text at position starts[b]. -> (B, V)

        Without a cache a chunk is a whole text and starts at 0.
        """
        assert cache is not None or not any(starts), "without a cache every chunk has to start at 0"
        lengths = [len(chunk) for chunk in chunks]
        T = max(lengths)
        token_ids = torch.tensor(
            [[*chunk, *[0] * (T - len(chunk))] for chunk in chunks], device=self.device
        )  # (B, T)
        positions = torch.tensor(
            [
                [*range(start, start + length), *[-1] * (T - length)]
                for start, length in zip(starts, lengths, strict=True)
            ],
            device=self.device,
        )  # (B, T)
        readable = positions.clamp(
            min=0
        )  # padding looks at the first token, so that no row of weights is empty
        n_keys = T
        if cache is not None:
            n_keys = self._whole_blocks(
                max(start + length for start, length in zip(starts, lengths, strict=True))
            )
            assert rows is not None, "a cache needs to know its rows"
            cache.start_step(torch.tensor(rows, device=self.device), positions, n_keys)
        mask = self._mask(readable, n_keys)
        hidden = self.model.hidden_states(token_ids, mask, readable, cache)  # (B, T, D)
        last = last_token(hidden, torch.tensor(lengths, device=self.device))  # (B, D)
        assert self.model.head is not None, "checked when the Forward was made"
        logits: Tensor = self.model.head(last)  # (B, V)
        return logits

    def _mask(self, positions: Tensor, n_keys: int) -> masks.Mask:
        if not self.is_exact:
            return masks.causal(positions, n_keys)
        return masks.causal_tiles(
            positions, self._whole_blocks(n_keys), self.config.n_head, self.config.n_kv_head
        )

    def _whole_blocks(self, n_keys: int) -> int:
        return -(-n_keys // self.key_block) * self.key_block

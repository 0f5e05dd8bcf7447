"""Draw the next tokens of all replies of a step at once, bit for bit as `sampling.sample_token`.

Logits are (N, V), one row for each reply. Adjustments of single tokens are computed for the tokens
of all rows together. Softmax and cumulative sums of a row do not depend on the other rows.

Top-p needs the order of a row's most probable tokens only, not that of all. Rows where these do not
reach p, or where equally probable tokens lie at its border, are filtered one by one. So are rows
with typical-p.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.engine import sampling
from chatwright.engine.philox import uniforms
from chatwright.engine.sampling import Draw, Sampled, last_possible, most_probable, sample_token

EXCLUDED = float("-inf")
N_CANDIDATE = 256
"""Number of most probable tokens among which top-p looks first."""


NUMBERS_AT_ONCE = 65_536
"""Logits that are computed together: 512 kB in float64, which stay in the processor's cache.

All 32 rows of 49,152 logits at once took up to four times as long as one by one.
"""


def sample_tokens(logits: Tensor, draws: Sequence[Draw]) -> list[Sampled]:
    """Choose the next token of each reply. (N, V) on the CPU -> N results."""
    if not draws:
        return []
    numbers = uniforms(*zip(*(draw.key for draw in draws), strict=True))
    at_once = max(NUMBERS_AT_ONCE // logits.shape[1], 1)
    sampled: list[Sampled] = []
    for start in range(0, len(draws), at_once):
        part = slice(start, start + at_once)
        sampled += _sample_together(logits[part], draws[part], numbers[part])
    return sampled


def _sample_together(logits: Tensor, draws: Sequence[Draw], numbers: Tensor) -> list[Sampled]:
    """Choose the next token of each reply, given its random number. (N, V), (N,) -> N results."""
    if len(draws) == 1 and draws[0].config.top_p == 1.0:
        return [sample_token(logits[0], draws[0], float(numbers[0]))]
    wide = logits.to(torch.float64, copy=True)
    log_probs = wide.log_softmax(dim=-1)
    tokens = _choose(adjust_rows(wide, draws), draws, numbers)  # changes `wide`
    chosen = log_probs.gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()
    alternatives = [
        most_probable(row, draw.config.top_log_probs)
        for row, draw in zip(log_probs, draws, strict=True)
    ]
    return [Sampled(*parts) for parts in zip(tokens, chosen, alternatives, strict=True)]


def adjust_rows(wide: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Apply bans, penalties, bias, temperature and filters. (N, V) -> (N, V) in float64.

    Changes `wide`: a copy of it would cost a third of its softmax.
    """
    flat = wide.view(-1)  # writing to it changes `wide`
    flat[_positions([draw.banned_ids for draw in draws], wide)] = EXCLUDED
    _apply_repetition_penalties(flat, draws, wide)
    _apply_counted_penalties(flat, draws, wide)
    _add_biases(flat, draws, wide)
    drawn = [row for row, draw in enumerate(draws) if draw.config.temperature > 0.0]
    if not drawn:
        return wide
    if len(drawn) == len(draws):
        return filter_rows(wide, draws)
    wide[drawn] = filter_rows(wide[drawn], [draws[row] for row in drawn])
    return wide


def filter_rows(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Apply temperatures above 0 and the filters. (N, V) -> (N, V)."""
    configs = [draw.config for draw in draws]
    temperatures = [config.temperature for config in configs]
    if any(temperature != 1.0 for temperature in temperatures):
        logits = logits / torch.tensor(temperatures, dtype=torch.float64)[:, None]
    V = logits.shape[1]
    ks = {row: c.top_k for row, c in enumerate(configs) if 0 < c.top_k < V}
    if ks:
        logits = _top_k_rows(logits, ks)
    ps = {row: c.top_p for row, c in enumerate(configs) if c.top_p < 1.0}
    if ps:
        logits = _top_p_rows(logits, ps)
    shares = {row: c.min_p for row, c in enumerate(configs) if c.min_p > 0.0}
    if shares:
        logits = _min_p_rows(logits, shares)
    for row, config in enumerate(configs):
        if config.typical_p < 1.0:
            logits = _with_rows(logits, [row], sampling.typical_p(logits[row], config.typical_p))
    return logits


def _choose(adjusted: Tensor, draws: Sequence[Draw], numbers: Tensor) -> list[int]:
    """Choose a token of each row: the first of the largest, or by the row's random number."""
    tokens = [0] * len(draws)
    drawn = [row for row, draw in enumerate(draws) if draw.config.temperature > 0.0]
    greedy = [row for row in range(len(draws)) if draws[row].config.temperature == 0.0]
    if greedy:
        largest = _rows(adjusted, greedy).argmax(dim=1).tolist()
        for row, token in zip(greedy, largest, strict=True):
            tokens[row] = token
    if drawn:
        probs = _rows(adjusted, drawn).softmax(dim=-1)
        cdf = probs.cumsum(dim=-1)
        thresholds = cdf[:, -1] * _rows(numbers, drawn)
        found = torch.searchsorted(cdf, thresholds[:, None], right=True)[:, 0].tolist()
        for index, (row, token) in enumerate(zip(drawn, found, strict=True)):
            tokens[row] = token if token < adjusted.shape[1] else last_possible(probs[index])
    return tokens


def _positions(ids: Sequence[Tensor], wide: Tensor) -> Tensor:
    """Return the indices of each row's token ids in the flattened logits."""
    lengths = torch.tensor([len(row_ids) for row_ids in ids])
    firsts = torch.arange(0, wide.numel(), wide.shape[1]).repeat_interleave(lengths)
    return torch.cat(list(ids)) + firsts


def _apply_repetition_penalties(flat: Tensor, draws: Sequence[Draw], wide: Tensor) -> None:
    if not any(draw.config.has_repetition_penalty for draw in draws):
        return
    ids = [
        torch.cat([draw.prompt_ids, draw.generated_ids])
        if draw.config.has_repetition_penalty
        else sampling.NO_TOKENS
        for draw in draws
    ]
    positions = _positions(ids, wide)
    penalties = _repeated([draw.config.repetition_penalty for draw in draws], ids)
    old = flat[positions]
    flat[positions] = torch.where(old > 0, old / penalties, old * penalties)


def _apply_counted_penalties(flat: Tensor, draws: Sequence[Draw], wide: Tensor) -> None:
    """Apply frequency and presence penalties to the generated tokens."""
    if not any(draw.config.frequency_penalty or draw.config.presence_penalty for draw in draws):
        return
    ids, counts = [], []
    for draw in draws:
        has_penalty = draw.config.frequency_penalty or draw.config.presence_penalty
        generated = draw.generated_ids if has_penalty else sampling.NO_TOKENS
        unique, count = generated.unique(return_counts=True)
        ids.append(unique)
        counts.append(count)
    frequencies = _repeated([draw.config.frequency_penalty for draw in draws], ids)
    presences = _repeated([draw.config.presence_penalty for draw in draws], ids)
    positions = _positions(ids, wide)
    flat[positions] = flat[positions] - frequencies * torch.cat(counts) - presences


def _add_biases(flat: Tensor, draws: Sequence[Draw], wide: Tensor) -> None:
    if not any(draw.config.logit_bias for draw in draws):
        return
    biases = [draw.config.logit_bias for draw in draws]
    ids = [torch.tensor(list(bias), dtype=torch.int64) for bias in biases]
    values = [number for bias in biases for number in bias.values()]
    flat.index_add_(0, _positions(ids, wide), torch.tensor(values, dtype=torch.float64))


def _repeated(numbers: Sequence[float], ids: Sequence[Tensor]) -> Tensor:
    """Repeat each row's number for each of its token ids."""
    lengths = torch.tensor([len(row_ids) for row_ids in ids])
    return torch.tensor(numbers, dtype=torch.float64).repeat_interleave(lengths)


def _top_k_rows(logits: Tensor, ks: dict[int, int]) -> Tensor:
    """Apply `sampling.top_k` to these rows."""
    rows, counts = list(ks), torch.tensor(list(ks.values()))
    chosen = _rows(logits, rows)
    largest = chosen.topk(max(ks.values()), dim=1).values  # (R, largest k), descending
    smallest_kept = largest.gather(1, counts[:, None] - 1)
    return _with_rows(logits, rows, chosen.masked_fill(chosen < smallest_kept, EXCLUDED))


def _min_p_rows(logits: Tensor, shares: dict[int, float]) -> Tensor:
    """Apply `sampling.min_p` to these rows."""
    rows = list(shares)
    logs = torch.tensor([math.log(share) for share in shares.values()], dtype=torch.float64)
    chosen = _rows(logits, rows)
    below = chosen - chosen.amax(dim=1, keepdim=True)
    return _with_rows(logits, rows, chosen.masked_fill(below < logs[:, None], EXCLUDED))


def _top_p_rows(logits: Tensor, ps: dict[int, float]) -> Tensor:
    """Apply `sampling.top_p` to these rows."""
    rows, limits = list(ps), torch.tensor(list(ps.values()), dtype=torch.float64)[:, None]
    chosen = _rows(logits, rows)
    probs = chosen.softmax(dim=-1)
    ordered = probs.topk(min(N_CANDIDATE, probs.shape[1]), dim=1).values  # (R, C), descending
    preceding = ordered.cumsum(dim=-1)[:, :-1]
    n_kept = 1 + (preceding < limits).sum(dim=1)  # (R,)
    smallest_kept = ordered.gather(1, n_kept[:, None] - 1)
    kept = probs >= smallest_kept
    filtered = chosen.masked_fill(~kept, EXCLUDED)
    # Equally probable tokens at the border, or a border beyond the candidates.
    is_exact = (kept.sum(dim=1) == n_kept) & (
        (n_kept < ordered.shape[1]) | (ordered.shape[1] == probs.shape[1])
    )
    for index in (~is_exact).nonzero()[:, 0].tolist():
        filtered[index] = sampling.top_p(chosen[index], ps[rows[index]])
    return _with_rows(logits, rows, filtered)


def _rows(x: Tensor, rows: list[int]) -> Tensor:
    return x if len(rows) == len(x) else x[rows]


def _with_rows(x: Tensor, rows: list[int], values: Tensor) -> Tensor:
    """Return `x` with other values in these rows."""
    if len(rows) == len(x):
        return values.view_as(x)
    x = x.clone()
    x[rows] = values
    return x

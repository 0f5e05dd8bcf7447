"""Quantize matrices as blocks of GGUF files; the gguf package cannot write Q4_K."""

import gguf
import numpy as np


def quantize(matrix: np.ndarray, number_type: str) -> np.ndarray:
    """Return the bytes of each row. (out, in) -> (out, bytes of a row)."""
    if number_type == "Q4_K":
        return _q4_k(matrix)
    return gguf.quantize(matrix, gguf.GGMLQuantizationType[number_type])


def _q4_k(matrix: np.ndarray) -> np.ndarray:
    """Write blocks of 256 weights: two float16, 12 bytes of 6-bit factors, 128 bytes of codes."""
    groups = matrix.reshape(len(matrix), -1, 8, 32).astype(np.float32)
    lowest = np.minimum(groups.min(axis=-1), 0)
    steps = (groups.max(axis=-1) - lowest) / 15  # (out, blocks, 8)
    scale = (steps.max(axis=-1) / 63).astype(np.float16)
    min_scale = ((-lowest).max(axis=-1) / 63).astype(np.float16)
    factors = _factors(steps, scale)
    min_factors = _factors(-lowest, min_scale)
    real_steps = factors * scale[..., None].astype(np.float32)
    real_minima = min_factors * min_scale[..., None].astype(np.float32)
    distances = groups + real_minima[..., None]
    codes = np.rint(distances / np.maximum(real_steps, 1e-30)[..., None]).clip(0, 15)
    codes = codes.astype(np.uint8).reshape(*codes.shape[:2], 4, 2, 32)
    packed = np.concatenate(
        [
            scale.view(np.uint8).reshape(*scale.shape, 2),
            min_scale.view(np.uint8).reshape(*scale.shape, 2),
            _pack_factors(factors.astype(np.uint8), min_factors.astype(np.uint8)),
            (codes[..., 0, :] | codes[..., 1, :] << 4).reshape(*scale.shape, 128),
        ],
        axis=-1,
    )
    return packed.reshape(len(matrix), -1)


def _factors(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    divisor = np.maximum(scale.astype(np.float32), 1e-30)[..., None]
    return np.rint(values / divisor).clip(0, 63).astype(np.float32)


def _pack_factors(factors: np.ndarray, min_factors: np.ndarray) -> np.ndarray:
    """Factors of groups 0 to 3 whole; those of 4 to 7 in two parts. -> (..., 12)."""
    return np.concatenate(
        [
            factors[..., :4] | factors[..., 4:] >> 4 << 6,
            min_factors[..., :4] | min_factors[..., 4:] >> 4 << 6,
            (factors[..., 4:] & 15) | (min_factors[..., 4:] & 15) << 4,
        ],
        axis=-1,
    )

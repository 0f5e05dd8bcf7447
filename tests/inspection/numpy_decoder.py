"""A decoder of the Llama, SmolLM, Qwen 3 and starter shapes in numpy float64, without our code.

It reads config.json and model.safetensors with its own few lines, so it shares no code with what
it is compared with.
"""

import json
import struct
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = content[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "BF16":  # the upper half of a float32
            data = (np.frombuffer(data, "<u2").astype("<u4") << 16).tobytes()
        else:
            assert entry["dtype"] == "F32"
        tensors[name] = np.frombuffer(data, "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def rms_norm(x, weight, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate(x, base):
    """(H, T, Dh): the halves of each head are the two coordinates of a rotation."""
    T, width = x.shape[1:]
    angles = np.arange(T)[:, None] / base ** (np.arange(0, width, 2) / width)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., : width // 2], x[..., width // 2 :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def run(directory: Path, token_ids, off=()):
    """Return (logits (T, V), attention of each layer (H, T, T), residual stream of each layer).

    `off` names heads (layer, head) whose outputs are 0.
    """
    config = json.loads((directory / "config.json").read_text())
    own = config.get("chatwright", {})  # the starter's family has only these
    w = read_safetensors(directory / "model.safetensors")
    eps = config.get("rms_norm_eps") or own["norm_eps"]
    H = config.get("num_attention_heads") or own["n_head"]
    K = config.get("num_key_value_heads") or own["n_kv_head"]
    parameters = config.get("rope_parameters") or {}
    base = parameters.get("rope_theta") or config.get("rope_theta") or own["rotary_base"]
    x = w["model.embed_tokens.weight"][list(token_ids)]
    T = len(x)
    for lag in range(own.get("n_previous", 0)):  # the vector of the token 1, 2, 3 before
        table = w[f"previous.{lag}"]
        before = [len(table) - 1] * (lag + 1) + list(token_ids)  # its last row: no token
        x = x + table[before[:T]]
    if own.get("embedding_norm"):
        x = rms_norm(x, 1.0, eps)
    hidden, attentions = [x], []
    for layer in range(config.get("num_hidden_layers") or own["n_layer"]):
        p = f"model.layers.{layer}."
        y = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (
            (y @ w[p + f"self_attn.{name}_proj.weight"].T).reshape(T, n, -1).transpose(1, 0, 2)
            for name, n in (("q", H), ("k", K), ("v", K))
        )
        if p + "self_attn.q_norm.weight" in w:
            q = rms_norm(q, w[p + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, w[p + "self_attn.k_norm.weight"], eps)
        q, k = rotate(q, base), rotate(k, base)
        k, v = (np.repeat(z, H // K, 0) for z in (k, v))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores[:, ~np.tri(T, dtype=bool)] = -np.inf
        attention = softmax(scores)
        out = attention @ v
        for at, head in off:
            if at == layer:
                out[head] = 0
        x = x + out.transpose(1, 0, 2).reshape(T, -1) @ w[p + "self_attn.o_proj.weight"].T
        y = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        up = y @ w[p + "mlp.up_proj.weight"].T
        if own.get("activation") == "relu2":
            inner = np.maximum(up, 0) ** 2
        else:
            gate = y @ w[p + "mlp.gate_proj.weight"].T
            inner = gate / (1 + np.exp(-gate)) * up
        x = x + inner @ w[p + "mlp.down_proj.weight"].T
        hidden.append(x)
        attentions.append(attention)
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return rms_norm(x, w["model.norm.weight"], eps) @ head.T, attentions, hidden

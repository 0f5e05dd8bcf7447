"""Match the tokens of an imported tokenizer with the rows of its model's embedding.

The numbers of tokens and of rows often differ. Models round their vocabulary up, so some ids have
no token and must never be sampled. In other models, a token was added to the tokenizer without
resizing the embedding, so no text may be encoded to that token.
"""

from __future__ import annotations

from dataclasses import replace

from chatwright.tokenizer.added_tokens import default_special_tokens
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.tokenizer_json import added_tokens


def without_unembedded_tokens(files: TokenizerFiles, vocab_size: int) -> TokenizerFiles:
    """Remove the added tokens with ids of `vocab_size` or more from the parsed files.

    `TokenizerFiles.files`, the content of the files for export, is unchanged.
    """
    removed = set(unembedded_tokens(files, vocab_size))
    if not removed:
        return files
    kept = [token for token in added_tokens(files.document) if token["content"] not in removed]
    document = files.document | {"added_tokens": kept}
    model = document["model"]
    if isinstance(model["vocab"], dict):
        vocab = {token: i for token, i in model["vocab"].items() if token not in removed}
        document["model"] = model | {"vocab": vocab}
    special = default_special_tokens(document)
    special |= {name: token for name, token in files.special_tokens.items() if token not in removed}
    return replace(files, document=document, special_tokens=special)


def unembedded_tokens(files: TokenizerFiles, vocab_size: int) -> list[str]:
    """Return the added tokens that have no row in an embedding of `vocab_size` rows."""
    return [token["content"] for token in added_tokens(files.document) if token["id"] >= vocab_size]

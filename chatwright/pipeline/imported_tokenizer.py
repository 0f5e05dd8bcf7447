"""Choose the chat format of an imported model, and check that its tokenizer fits the model."""

from chatwright.checkpoint.control_tokens import add_control_tokens
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.tokenizer import chat_formats, hugging_face
from chatwright.tokenizer.embedded_tokens import unembedded_tokens
from chatwright.tokenizer.hugging_face import CHAT_TEMPLATE_JINJA
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles

OWN_FORMAT = "chatwright"
# Many models have more ids than tokens, some by thousands. If less than this share of the ids has a
# token, the tokenizer is rejected as another model's.
SMALLEST_USED_SHARE = 0.5
MAX_NAMES = 5  # names of tokens in a note


def with_chat_format(
    files: TokenizerFiles, model: Model, chat_format: str | None
) -> tuple[Model, ImportedTokenizer]:
    """Return the model and its tokenizer with a chat format.

    Args:
        files: The model's tokenizer files.
        model: The imported model.
        chat_format: A name in `chat_formats`; `OWN_FORMAT` adds our control tokens to the model.
            None: the format of the model's chat template, if it is known.

    Raises:
        InputError: The tokenizer does not fit the model, or lacks the tokens of the format.
    """
    vocab_size = model.config.vocab_size
    if files.chat_template == CHAT_TEMPLATE_JINJA and chat_format is None:  # exported by Chatwright
        first_control_id = hugging_face.first_control_id(files.document)
        tokenizer = ImportedTokenizer(files, vocab_size, first_control_id=first_control_id)
        _require_same_model(tokenizer)
        return model, tokenizer
    plain = ImportedTokenizer(files, vocab_size)
    _require_same_model(plain)
    if not isinstance(model, GPT):
        if chat_format is not None:
            raise InputError(
                f"--chat-format {chat_format}: this model is not a decoder, so it cannot chat.",
                remedy="Leave the option out.",
                field="chat_format",
                value=chat_format,
            )
        return model, plain
    if chat_format == OWN_FORMAT:
        return add_control_tokens(model, plain)
    name = chat_format or chat_formats.recognize_format(files.chat_template)
    if name is None:
        return model, plain
    system = chat_formats.default_system_text(files.chat_template)
    try:
        return model, ImportedTokenizer(files, vocab_size, name, system)
    except ValueError:
        if chat_format is None and unembedded_tokens(files, vocab_size):
            return model, plain  # the template needs a token without a row in the embedding
        raise


def _require_same_model(tokenizer: ImportedTokenizer) -> None:
    """Reject a tokenizer with more tokens than the embedding has rows, or with far fewer."""
    n_token, vocab_size = max(tokenizer.vocabulary.tokens) + 1, tokenizer.vocab_size
    if not SMALLEST_USED_SHARE * vocab_size <= n_token <= vocab_size:
        raise InputError(
            f"the tokenizer has {n_token:,} tokens, but the model's embedding has "
            f"{vocab_size:,} rows. They do not belong to the same model.",
            remedy="Get all files again from the model's source.",
            field="vocab_size",
            value=vocab_size,
        )


def tokenizer_notes(files: TokenizerFiles, tokenizer: ImportedTokenizer) -> list[str]:
    """Return notes on tokens without an embedding row and on ids without a token."""
    notes = []
    if tokens := unembedded_tokens(files, tokenizer.vocab_size):
        names = ", ".join(tokens[:MAX_NAMES])
        if len(tokens) > MAX_NAMES:
            names += f" and {len(tokens) - MAX_NAMES} more"
        notes.append(
            f"the embedding has no row for the tokenizer's added tokens {names}; "
            "text is never encoded to them"
        )
    if n_unused := len(tokenizer.unused_ids):
        notes.append(
            f"{n_unused:,} of the model's {tokenizer.vocab_size:,} token ids have no token in its "
            "tokenizer; they are never sampled"
        )
    return notes

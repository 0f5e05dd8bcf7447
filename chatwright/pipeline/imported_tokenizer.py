"""Choose the chat format of an imported model, and check that its tokenizer fits the model."""

from datetime import date

from chatwright.checkpoint.control_tokens import add_control_tokens
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.tokenizer import hugging_face
from chatwright.tokenizer.embedded_tokens import unembedded_tokens
from chatwright.tokenizer.format_data import FormatData
from chatwright.tokenizer.hugging_face import CHAT_TEMPLATE_JINJA
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.templates.compare_ids import require_equal_ids
from chatwright.tokenizer.templates.derive import NotExpressible
from chatwright.tokenizer.templates.read_template import read_template

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
            None: the format of the model's chat template, if a format can express it.

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
    if chat_format is not None:
        return model, ImportedTokenizer(files, vocab_size, chat_format)
    if not files.chat_template:
        return model, plain
    return model, with_template_format(files, vocab_size)


def with_template_format(
    files: TokenizerFiles, vocab_size: int, today: str = ""
) -> ImportedTokenizer:
    """Return a tokenizer with the format of its chat template.

    If no format can express the template, the tokenizer has none and says why. `today` is the date
    that the template may write, as "2026-11-29"; by default that of this machine.
    """
    try:
        found = read_template(
            files.chat_template, files.special_tokens, today or date.today().isoformat()
        )
        _require_embedded(found.data, files, vocab_size)
        with_format = ImportedTokenizer(files, vocab_size, found.data)
        require_equal_ids(with_format, found.samples)
    except NotExpressible as error:
        problem = f"The model's chat template has no equivalent here: {error}."
        return ImportedTokenizer(files, vocab_size, format_problem=problem)
    return with_format


def _require_embedded(data: FormatData, files: TokenizerFiles, vocab_size: int) -> None:
    """Raise NotExpressible if the format writes a token that has no row in the embedding."""
    texts = [*data.layout.separators.values()]
    for token in unembedded_tokens(files, vocab_size):
        if any(token in text for text in texts):
            raise NotExpressible(f"it writes {token!r}, which has no row in the model's embedding")


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
    return notes + _format_notes(tokenizer)


def _format_notes(tokenizer: ImportedTokenizer) -> list[str]:
    """Return notes on the chat format: why there is none, or what it adds to conversations."""
    chat_format = tokenizer.chat_format
    if chat_format is None:
        problem = tokenizer.format_problem
        return [f"{problem} Chatting is refused; --chat-format NAME overrides"] if problem else []
    notes = []
    if chat_format.system_text:
        notes.append(f"{chat_format.system_line()}; chat --system replaces it")
    if chat_format.thinking_layouts:
        notes.append("the model can think before it answers: /think on, /think off in the chat")
    if tokenizer.format_date:
        notes.append(
            f"the chat template writes today's date; here it stays {tokenizer.format_date}, so "
            "that a conversation has the same ids on every day. Import again for another date"
        )
    return notes

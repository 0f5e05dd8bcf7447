"""chatwright import SOURCE OUT, chatwright export DIR OUT."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="The folder of a model as transformers writes it, or its name on huggingface.co "
            "(organisation/model, with the hub extra), which is then fetched."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Where the model goes.")],
    chat_format: Annotated[
        str | None,
        typer.Option(
            "--chat-format",
            help="How it was taught to converse, where its template does not "
            "show it: chatml, qwen3, smollm3, llama2, llama3, llama3.1, mistral, "
            "mistral3; or chatwright, which adds our control tokens to a model that cannot "
            "converse.",
        ),
    ] = None,
    context_length: Annotated[
        int | None,
        typer.Option(
            "--context-length",
            help="A shorter context than the model's: less memory for each conversation.",
        ),
    ] = None,
) -> None:
    """Make an open model ours: GPT-1, GPT-2, Llama, Mistral, Qwen, SmolLM, BERT and its kin, MarianMT. Nothing in its files is run."""
    from chatwright.pipeline.import_export import import_model

    imported = import_model(source, out, chat_format, context_length)
    print(
        f"{imported.family}: {imported.n_parameter:,} parameters, context {imported.context_length:,}, vocabulary {imported.vocab_size:,}"
    )
    if imported.chat_format:
        print(f"chat format: {imported.chat_format}")
    if imported.unused:
        print(f"not used: {', '.join(imported.unused)}")
    print(f"done: {out}")


def export(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    out: Annotated[
        Path, typer.Argument(help="Where the exported model goes: a folder, of gguf a file.")
    ],
    layout: Annotated[
        Literal["hf", "gguf"],
        typer.Option(
            "--format",
            help="hf: what transformers and most other tools open. gguf: one file "
            "for llama.cpp (decoders; takes the gguf extra).",
        ),
    ] = "hf",
) -> None:
    """Write a model for other tools, open the result again, and print how far it is from the model."""
    if layout == "gguf":
        _export_gguf(directory, out)
        return
    from chatwright.pipeline.import_export import export_model

    exported = export_model(directory, out)
    print(f"largest logit gap between the model and what was exported: {exported.gap}")
    for note in exported.notes:
        print(f"note: {note}")
    print(f"done: {out}")


def _export_gguf(directory: Path, out: Path) -> None:
    from chatwright.pipeline.gguf_export import export_gguf

    written = export_gguf(directory, out)
    print(
        f"{written.architecture}: {written.n_tensor} tensors, {written.n_byte / 1e6:.1f} MB, every one read again and the same"
    )
    for note in written.notes:
        print(f"note: {note}")
    print(f"done: {out}")

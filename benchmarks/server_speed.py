"""Compare servers under concurrent chats: Chatwright, `transformers serve`, llama.cpp's server.

    python benchmarks/server_speed.py DIR OUT [--clients 32] [--rounds 2] [--tokens 48]
        [--curve 1 2 4 8 16 32 64 128] [--programs NAME ...]

All servers run at once and take turns. In each round, each answers one request of each of
`--clients` clients that send together (`chatwright bench serve` is the client). The servers of
transformers need `pip install transformers[serving]`; "transformers batched" is its
`--continuous-batching`. llama.cpp comes with the extra `dev`.

Then Chatwright alone answers `--curve` clients. OUT/server_speed.json holds all figures, and
OUT/cost_per_token.svg shows milliseconds per token, of all replies together, by number of chats.
"""

import argparse
import json
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from served_peers import Served, served

from chatwright.evaluation.server_load import LoadConfig, measure_load

PROGRAMS = (
    "chatwright float32",
    "transformers",
    "transformers batched",
    "chatwright int8",
    "llama.cpp Q8_0",
)
FIRST_PORT = 8410
SHOWN = (
    "tokens_per_second",
    "first_token_p50_ms",
    "between_tokens_p50_ms",
    "between_tokens_p99_ms",
)


def main() -> None:
    """Print tokens per second and waiting times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--curve", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        compared = compare(arguments, Path(folder))
        ours = [name for name in arguments.programs if name.startswith("chatwright")]
        curves = {name: curve(name, arguments, Path(folder)) for name in ours if arguments.curve}
    result = {"clients": arguments.clients, "programs": compared, "curves": curves}
    (arguments.out / "server_speed.json").write_text(json.dumps(result, indent=1))
    if curves:
        plot(curves, arguments.out / "cost_per_token.svg")


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Let all servers answer in turn; return the medians of their figures."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.programs}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                served(name, arguments.directory, folder, FIRST_PORT + index, arguments.clients)
            )
            for index, name in enumerate(arguments.programs)
        ]
        for one in servers:
            load(one, 2, 4, arguments.tokens)  # warms up
        for _ in range(arguments.rounds):
            for one in servers:
                result = load(one, arguments.clients, arguments.clients, arguments.tokens)
                figures[one.name].append(result)
                print(f"{one.name:22}{shown(result)}", flush=True)
    return {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in figures.items()
    }


def curve(name: str, arguments: argparse.Namespace, folder: Path) -> dict[int, dict[str, float]]:
    """Return the figures of our server for each number of chats."""
    results = {}
    with served(name, arguments.directory, folder, FIRST_PORT, max(arguments.curve)) as one:
        load(one, 2, 4, arguments.tokens)
        for chats in arguments.curve:
            results[chats] = load(one, chats, max(chats, 4), arguments.tokens)
            print(f"{name}, {chats:3} chats: {shown(results[chats])}", flush=True)
    return results


def load(one: Served, clients: int, requests: int, tokens: int) -> dict[str, float]:
    """Send requests to a server and return the figures; RuntimeError if one fails."""
    config = LoadConfig(
        url=one.url, model=one.model, n_client=clients, n_request=requests, max_tokens=tokens
    )
    result = measure_load(config)
    if result.n_failed or result.n_refused:
        problem = f"{result.n_failed} failed ({result.failure}), {result.n_refused} refused"
        raise RuntimeError(f"{one.name} with {clients} clients: {problem}")
    return result.figures()


def shown(figures: dict[str, float]) -> str:
    """Write the main figures in one line."""
    return "  ".join(f"{name} {figures[name]}" for name in SHOWN)


def plot(curves: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Draw milliseconds per token against the number of chats."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, ScalarFormatter

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", ylabel="milliseconds per token")
    axes.set_xlabel("conversations at once")
    for name, results in curves.items():
        costs = [1000 / one["tokens_per_second"] for one in results.values()]
        axes.plot(list(results), costs, marker="o", label=name)
    numbers = sorted({number for results in curves.values() for number in results})
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()

"""Run a command of Chatwright in this process."""

from typer.testing import CliRunner

from chatwright.cli.app import app


def chatwright(*arguments: object) -> str:
    """Run a command and return its output; raise the error that it ended with."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output

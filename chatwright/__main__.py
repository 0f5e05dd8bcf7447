"""python -m chatwright: the command line, where the `chatwright` command is not on the path."""

from chatwright.cli.app import main

main()

"""Run the command line as a module: `python -m chatwright`."""

from chatwright.cli.app import main

main()

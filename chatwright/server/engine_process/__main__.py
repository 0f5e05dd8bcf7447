"""The program that the web application starts: `python -m chatwright.server.engine_process`."""

from chatwright.server.engine_process.program import main

main()

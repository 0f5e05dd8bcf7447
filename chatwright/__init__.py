"""Train, align, serve and look inside a language model, on machines you control."""

from chatwright.threads import set_thread_waiting

__version__ = "0.1.0"

# Here, so that the library and the command line run at the same speed.
set_thread_waiting()

"""The `trueup` command. One module per group of commands; they parse and print, the rooms do the work."""

from worker.cli.entry import main

__all__ = ["main"]

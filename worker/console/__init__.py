"""The pages for operators. They show what other rooms know, and do what the desk does: no rule is made here."""

from worker.console.app import MOST_CONNECTIONS, create_console

__all__ = ["MOST_CONNECTIONS", "create_console"]

"""What the command's exit code says, in one place."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    """Done, and nothing is wrong."""
    WRONG = 1
    """Done, and something is wrong: a check failed, differences were found, or there was nothing of that name."""
    USAGE = 2
    """Not done: the command line, the configuration or the input is wrong. Nothing was changed."""
    UNAVAILABLE = 3
    """Not done, or only in part: the database, the broker or a vendor is not there or refuses. Try again later."""


MEANINGS = {
    ExitCode.OK: "done, and nothing is wrong",
    ExitCode.WRONG: "done, and something is wrong: a check failed, differences were found, nothing of that name exists",
    ExitCode.USAGE: "not done: the command line, the configuration or the input is wrong; nothing was changed",
    ExitCode.UNAVAILABLE: "not done, or in part: database, broker or a vendor is unavailable; try again later",
}


class CommandError(Exception):
    """Ends a command with a sentence for the person who called it, and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


def explained(error: BaseException) -> tuple[str, ExitCode] | None:
    """What to say about an expected error and how to exit; None for one that nobody expected."""
    from config.problems import ConfigurationError
    from connectors.errors import ConnectorError
    from connectors.registry import BrokenConnectorError, UnknownConnectorError
    from worker.store.engine import StorageUnavailable
    from worker.store.migrate import UpgradeRefusedError

    match error:
        case CommandError():
            return str(error), error.code
        case ConfigurationError() | UnknownConnectorError() | BrokenConnectorError() | UpgradeRefusedError():
            return str(error), ExitCode.USAGE
        case StorageUnavailable():
            hint = "Check database.url, and that the server runs, the disk has room and the file may be written."
            return f"{error}. {hint}".replace("the database cannot", "The database cannot", 1), ExitCode.UNAVAILABLE
        case ConnectorError():
            return f"{error}. `trueup doctor` tries each account and says what to do.", ExitCode.UNAVAILABLE
    return None

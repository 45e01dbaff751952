"""A disk that can be full: a small file system in memory, mounted for one run where this user may mount one."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

SIZE_MIB = 256
_PIECE = b"\0" * 2**16


class SmallDisk:
    """A file system of its own, at `path`, for a SQLite database."""

    def __init__(self, path: Path) -> None:
        self.database = path / "trueup.db"
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave not one byte, neither free nor in SQLite's write-ahead log, which would be used again first."""
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.database, timeout=5)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._ballast.open("wb", buffering=0) as ballast:
            for piece in (_PIECE, _PIECE[:4096], b"\0"):
                try:
                    while True:
                        ballast.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Give everything back. Idempotent."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk | None]:
    """Mounted at `path` for as long as the block lasts; None where that is not permitted."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", path], capture_output=True, check=False)

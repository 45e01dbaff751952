"""How much memory the C library keeps for threads that come and go."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""Of `mallopt` in glibc (mallopt(3)): how many arenas there may be at most."""


def share_one_arena() -> None:
    """Let all threads of this process allocate from one arena. Call it before the first thread starts.

    glibc gives threads arenas of their own, and each keeps what was ever needed in it at once; so a process of many
    threads goes on growing long after it needs no more. Threads that hold the interpreter's lock seldom allocate at the
    same time: sharing cost nothing that could be measured (docs/benchmarks.md). Without effect on other C libraries.
    """
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    except (OSError, AttributeError, TypeError):
        return

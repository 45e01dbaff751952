"""One arena for all threads, as glibc itself counts them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNTED = """
import ctypes, sys, threading
from worker.memory import share_one_arena

if sys.argv[1] == "shared":
    share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
all_there = threading.Barrier(9)

def allocate():
    libc.malloc(1000)
    all_there.wait()

for _ in range(8):
    threading.Thread(target=allocate).start()
all_there.wait()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def arenas(how: str) -> int:
    """How many arenas a process has when eight of its threads have allocated."""
    told = subprocess.run([sys.executable, "-c", COUNTED, how], capture_output=True, text=True, check=True)
    return told.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas to share")
def test_all_threads_share_one_arena() -> None:
    assert arenas("own") > 1
    assert arenas("shared") == 1

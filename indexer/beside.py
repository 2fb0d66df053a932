"""The reconciler as a process beside the follower: it may be slow, fail or be killed, and the mirror does not wait."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RESTART_SECONDS = 1.0
STOP_SECONDS = 5.0
PR_SET_PDEATHSIG = 1


@contextmanager
def reconciler() -> Iterator[Callable[[], None]]:
    """Yield what starts ``python -m indexer reconcile``, begun again when it ends; it dies with us, even by kill -9."""
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(stop,), name="reconciler")
    try:
        yield keeper.start
    finally:
        stop.set()
        if keeper.ident is not None:
            keeper.join()


def _keep(stop: threading.Event) -> None:
    while not stop.is_set():
        # the kernel sends the signal when the thread that started the child ends: this one lives as long as we do
        child = subprocess.Popen(
            [sys.executable, "-m", "indexer", "reconcile"],
            stdin=subprocess.DEVNULL,
            preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - the only place where prctl can be called
        )
        while child.poll() is None and not stop.wait(0.2):
            pass
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        stop.wait(RESTART_SECONDS)


def _dies_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare

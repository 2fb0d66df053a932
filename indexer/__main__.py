"""`python -m indexer`: follow a chain, check the books, look at the state of both."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from indexer import log
from indexer.errors import IndexerError
from indexer.settings import Settings

logger = logging.getLogger("indexer")

# Rows make no cycles, and looking for them among those of a batch takes half of its time.
gc.set_threshold(200_000)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Mirror a chain into PostgreSQL and check the books against it.\n\n"
    "Settings come from the environment: DATABASE_URL (postgresql://..), DRAKEWELL_RPC_URL, DRAKEWELL_DEPLOYMENT (the "
    "file that scripts/deploy.py wrote), and those of indexer/settings.py.\n\n"
    "A first session: `migrate`, `follow` in a terminal of its own, then `status` and `verify`.",
)


@contextmanager
def _errors() -> Iterator[None]:
    """Say what went wrong in one line and exit 3, for what an operator can mend; else let it crash."""
    from psycopg import OperationalError

    try:
        yield
    except (IndexerError, OperationalError) as error:
        logger.error("%s", error, extra={"error": type(error).__name__})  # noqa: TRY400 - no traceback for these
        raise typer.Exit(3) from None


def _settings() -> Settings:
    from pydantic import ValidationError

    try:
        return Settings()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        logger.error("settings: %s", fields)  # noqa: TRY400
        raise typer.Exit(3) from None


def _stopping() -> Callable[[], bool]:
    """Return whether SIGTERM or SIGINT came; a step under way ends first."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    return lambda: bool(stopped)


@app.command()
def follow(
    reconcile: Annotated[bool, typer.Option(help="Compare the books with the chain in a process beside")] = True,
) -> None:
    """Follow the chain: catch up, stay at the tip, mend reorgs. Migrates the database first if it must.

    Prints `ready` on stdout when the mirror has reached the tip. Halts for good, with exit code 3 and the reason kept
    in the database, on a reorg below a finalized block and on events that contradict the books.
    """
    log.start()
    settings = _settings()
    from indexer.beside import reconciler
    from indexer.follow import follow as run

    with _errors(), reconciler() as start:

        def ready() -> None:
            print("ready", flush=True)
            if reconcile:
                start()

        run(settings, ready, _stopping())


@app.command()
def migrate() -> None:
    """Bring the database to the schema that this code needs."""
    log.start()
    settings = _settings()
    from indexer import migrate as migrations

    with _errors():
        migrations.ensure(settings.database_url, settings.sqlalchemy_url)
    print(f"at revision {migrations.head()}")


@app.command()
def rebuild() -> None:
    """Fold all raw logs again beside the mirror and put the result in its place. Stop `follow` first."""
    log.start()
    settings = _settings()
    from indexer.rebuild import rebuild as run
    from indexer.store import connect

    with _errors(), connect(settings.database_url) as connection:
        run(connection, settings.sqlalchemy_url)
    print("rebuilt")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False) -> None:
    """Drop what the database holds of this chain: the mirror, and the follower's rows in `desk`. Stop `follow` first.

    Submitted transactions and other rows of the API stay. The next `follow` begins at the deployment's first block.
    """
    log.start()
    settings = _settings()
    from indexer import deployment
    from indexer.reset import reset as run
    from indexer.store import connect

    with _errors(), connect(settings.database_url) as connection:
        chain_id = deployment.load(settings.deployment).chain_id
        if not yes:
            typer.confirm(f"Drop the mirror of chain {chain_id}?", abort=True)
        run(connection, chain_id)
    print(f"dropped the mirror of chain {chain_id}")


@app.command()
def reconcile(
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Compare every account at the mirror's newest block, once")
    ] = False,
) -> None:
    """Compare the books with the chain, block by block as the mirror grows; or all accounts once with --sweep.

    The results are kept in `desk.reconciliation`. With --sweep the exit code is 1 if anything differs.
    """
    log.start()
    settings = _settings()
    from indexer.reconcile import run, sweep_once

    with _errors():
        if not sweep:
            run(settings, _stopping())
            return
        result = sweep_once(settings)
    print(
        f"block {result.block}: {result.accounts_compared} accounts compared in {result.node_calls} node calls, "
        f"{len(result.differences)} differences"
    )
    for difference in result.differences:
        print(
            f"  {difference['account']} {difference['token']}: books {difference['books']}, chain {difference['chain']}"
        )
    if not result.passed:
        print(result.error or "the books differ from the chain", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def verify(
    allow_empty: Annotated[
        list[str] | None, typer.Option(help="A table that may be empty on a young chain; may be repeated")
    ] = None,
) -> None:
    """Compare three mirrors table by table: the live one, one folded again from its logs, one fetched from the node.

    Also compares every site, listing, lease and holding with contract storage at the mirror's newest block. Exit code 1
    names what differs or is empty. `follow` may run on meanwhile.
    """
    log.start("WARNING")
    settings = _settings()
    from indexer.verify import verify as run

    with _errors():
        faults = run(settings, frozenset(allow_empty or ()), print)
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Print where the mirror, the node and the reconciler stand, as JSON."""
    log.start()
    settings = _settings()
    import orjson

    from indexer import deployment
    from indexer.status import status as read
    from indexer.store import connect

    with _errors(), connect(settings.database_url) as connection:
        found: dict[str, Any] = read(connection, deployment.load(settings.deployment).chain_id)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str).decode())


if __name__ == "__main__":
    app()

"""What an account has at a block: keys from rows that ever named it, then each row as it was."""

from sqlalchemy import select

from backend.kit.database import Row
from backend.mirror.view import View
from indexer import schema


def owned(view: View, table: str, column: str, account: str) -> list[Row]:
    """Return the rows of a versioned table whose `column` is the account at the view's block."""
    source = schema.tables[f"{table}_version" if view.past else table]
    (key,) = schema.declared_of(source).key
    named = (
        select(source.c[key]).where(source.c.chain_id == view.chain_id, view.equal(source, column, account)).distinct()
    )
    rows = view.rows(table, lambda rows: rows.c[key].in_(named))
    return [row for row in rows if row[column] is not None and row[column].lower() == account]


def under(view: View, table: str, account: str) -> list[Row]:
    """Return the rows of a versioned table whose key names the account."""
    return view.rows(table, lambda source: view.equal(source, "account", account))

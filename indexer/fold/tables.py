"""What the fold keeps: every projected table of schema `mirror`, declared once.

The store makes the SQL from this, the fold reads and writes rows of it as plain dicts, the backend selects from it.
Every table begins with `chain_id`, which is not repeated here. A versioned table `t` has two forms: `mirror.t` holds
the current rows (for search), `mirror.t_version` the whole row after each log that changed it, under
`(key..., block_number, log_index)`. An append table only grows: its key is the log that made the row.

Kinds: `address` and `hash` are 0x-prefixed lower-case hex in the fold and small ids in the database; `amount` is an
exact integer up to 2^256 - 1 (`NUMERIC(78,0)`); `int` fits 63 bits (ids, unix seconds, basis points, GPU-seconds,
hours). A trailing `?` means that the column may be null.
"""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """One projected table: `key` names the leading columns of `columns` (name -> kind) that identify a row."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    append: bool = False


_TERMS = {
    "window_from": "int",
    "window_until": "int",
    "floor_price": "amount",
    "ceiling_price": "amount",
    "gpus": "int",
    "min_term": "int",
    "max_term": "int",
    "notice": "int",
    "sla_bps": "int",
    "penalty_bps": "int",
    "curtailable_bps": "int",
    "watts_per_gpu": "int",
    "pue_bps": "int",
    "reclaim_window": "int",
    "compensation_bps": "int",
    "bond_per_gpu": "amount",
    "model": "text",
}

_LOG = {"block_number": "int", "log_index": "int"}
_WHEN = {"time": "int", "tx_hash": "hash"}

_ALL = (
    # -- policy and people
    Table(
        "identity",
        ("account",),
        {"account": "address", "party": "amount", "valid_until": "int", "country": "int", "flags": "int"},
    ),
    Table("policy", ("contract",), {"contract": "address", "entries_paused": "bool", "fee_bps": "int"}),
    Table("token", ("token",), {"token": "address", "allowed": "bool"}),
    # -- what each of our contracts owes in a token, and the credits and fees to be drawn
    Table("owed", ("contract", "token"), {"contract": "address", "token": "address", "amount": "amount"}),
    Table("credit", ("token", "account"), {"token": "address", "account": "address", "amount": "amount"}),
    Table("fees", ("token",), {"token": "address", "amount": "amount"}),
    # -- sites and listings
    Table(
        "site",
        ("site_id",),
        {
            "site_id": "int",
            "owner": "address",
            "pending_owner": "address?",
            "token": "address",
            "gpus": "int",
            "region": "text",
            "name": "text",
            "share": "address?",
            "revenue_bps": "int",
            "bond": "amount",
            "locked_bond": "amount",
            "pending_shares": "amount",
            "registered_at": "int",
        },
    ),
    Table("listing_terms", ("listing_id", "version"), {"listing_id": "int", "version": "int", **_TERMS}),
    Table(
        "listing",
        ("listing_id",),
        {
            "listing_id": "int",
            "site_id": "int",
            "version": "int",
            "leased": "int",
            "busy_from": "int",
            "busy_until": "int",
            "withdrawn": "bool",
            "listed_at": "int",
            **_TERMS,
        },
    ),
    # -- leases
    Table(
        "lease",
        ("lease_id",),
        {
            "lease_id": "int",
            "site_id": "int",
            "listing_id": "int",
            "version": "int",
            "holder": "address?",  # null once burnt
            "opened_by": "address",
            "opened_at": "int",
            "gpus": "int",
            "start_at": "int",
            "term_end": "int",
            "end_at": "int",  # the earliest of term, funds and closing
            "closing_at": "int?",
            "code": "int",
            "price": "amount",
            "fee_bps": "int",
            "bond_locked": "amount",
            "deposited": "amount",
            "rent_total": "amount",
            "fee_total": "amount",
            "shares_total": "amount",
            "unshared_net": "amount",
            "settled_until": "int",
            "available": "int",  # GPU-seconds settled
            "due": "int",
            "compensation": "amount",
            "penalty": "amount",
            "collected": "amount",
            "finalised": "bool",
            "released": "bool",
        },
    ),
    Table(
        "settlement",
        ("block_number", "log_index"),
        {
            **_LOG,
            **_WHEN,
            "lease_id": "int",
            "site_id": "int",
            "owner": "address",
            "settled_until": "int",
            "available": "int",  # totals after
            "due": "int",
            "rent": "amount",  # increases
            "fee": "amount",
            "shares": "amount",
            "owner_part": "amount",
        },
        append=True,
    ),
    # -- usage
    Table(
        "meter",
        ("lease_id",),
        {
            "lease_id": "int",
            "reported_to": "int",
            "round": "int",
            "voided_to": "int",
            "voided_at": "int",
            "count": "int",
            "available": "int",
            "due": "int",
            "busy": "int",
            "curtailed": "int",
            "watt_hours": "int",
            # the last eight reports that count, oldest first: [report_id, from, to, posted_at, available, due, busy,
            # curtailed, watt_hours], totals after each
            "ring": "json",
        },
    ),
    Table(
        "report",
        ("report_id",),
        {
            "report_id": "int",
            "site_id": "int",
            "samples_root": "hash",
            "submitter": "address",
            "posted_at": "int",
            "tx_hash": "hash",
        },
    ),
    Table(
        "usage",
        ("lease_id", "report_id", "from_epoch"),  # a batch may hold two spans of one lease
        {
            "lease_id": "int",
            "report_id": "int",
            "from_epoch": "int",
            "site_id": "int",
            "to_epoch": "int",
            "round": "int",
            "available": "int",  # increases
            "busy": "int",
            "curtailed": "int",
            "watt_hours": "int",
            "due": "int",
            "posted_at": "int",
            "voided": "bool",
        },
    ),
    # -- shares
    Table(
        "offering",
        ("share",),
        {
            "share": "address",
            "site_id": "int",
            "token": "address",
            "name": "text",
            "symbol": "text",
            "revenue_bps": "int",
            "supply": "amount",
            "index": "amount",
            "index_end": "amount",
            "stream_start": "int",
            "stream_end": "int",
            "owed": "amount",
            "distributed": "amount",
            "claimed": "amount",
            "issued_at": "int",
        },
    ),
    Table(
        "holding",
        ("share", "account"),
        {
            "share": "address",
            "account": "address",
            "balance": "amount",
            "paid_index": "amount",
            "accrued": "amount",
            "frozen": "amount",
            "claimed": "amount",
        },
    ),
    Table(
        "distribution",
        ("block_number", "log_index"),
        {
            **_LOG,
            **_WHEN,
            "share": "address",
            "site_id": "int",
            "source": "text",  # lease, mining, demand_response, other
            "ref": "amount",
            "payer": "address",
            "amount": "amount",
        },
        append=True,
    ),
    Table(
        "payout",
        ("block_number", "log_index"),
        {
            **_LOG,
            **_WHEN,
            "kind": "text",  # claim, collect, credit, fees, bond
            "contract": "address",
            "token": "address",
            "account": "address",  # whose right it was
            "recipient": "address",
            "subject": "text",  # offering/<site>, lease/<id>, site/<id>, or empty
            "amount": "amount",
        },
        append=True,
    ),
    Table(
        "lease_event",
        ("block_number", "log_index"),
        {
            **_LOG,
            **_WHEN,
            "lease_id": "int",
            "site_id": "int",
            "kind": "text",  # opened, funded, transferred, closing, reclaimed, settled, finalised, released, collected
            "account": "address?",
            "amount": "amount",
            "end_at": "int",
            "code": "int",
        },
        append=True,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _ALL}

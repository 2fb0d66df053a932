"""Every read, one method each: rows of the API as dicts, amounts as ints.

Keyword arguments are the API's own filters. Reads wait for the newest block in which the client saw a transaction of
its own; `min_block=` asks for another, `as_of_block=` for a past one where the API keeps it.
"""

from __future__ import annotations

from typing import Any

from drakewell.core import Core
from drakewell.http import exact

Row = dict[str, Any]
_PAGE = 200


class Reads(Core):
    """What the mirror knows."""

    def status(self, **filters: Any) -> Row:
        """Return heads, lag, addresses, versions and where the reconciliation is."""
        return self._one("/v1/status", filters)

    def sites(self, **filters: Any) -> list[Row]:
        """Return the sites."""
        return self._all("/v1/sites", filters)

    def site(self, site_id: int, **filters: Any) -> Row:
        """Return one site."""
        return self._one(f"/v1/sites/{site_id}", filters)

    def listings(self, **filters: Any) -> list[Row]:
        """Search the market: `gpu_model`, `price_lte`, `available_gpus_gte`, `region`, `sla_gte`, `sort`, ..."""
        return self._all("/v1/listings", filters)

    def listing(self, listing_id: int, **filters: Any) -> Row:
        """Return one listing."""
        return self._one(f"/v1/listings/{listing_id}", filters)

    def quote(self, listing_id: int, gpus: int, term: int, **filters: Any) -> Row:
        """Return what `open_lease` would charge now; `term` in seconds."""
        return self._one("/v1/quotes", {"listing_id": listing_id, "gpus": gpus, "term": term, **filters})

    def leases(self, **filters: Any) -> list[Row]:
        """Return leases: `holder`, `site_id`, `state`, ..."""
        return self._all("/v1/leases", filters)

    def lease(self, lease_id: int, **filters: Any) -> Row:
        """Return one lease: its state, runway, usage and what it may collect."""
        return self._one(f"/v1/leases/{lease_id}", filters)

    def settlements(self, lease_id: int, **filters: Any) -> list[Row]:
        """Return a lease's settlements."""
        return self._all(f"/v1/leases/{lease_id}/settlements", filters)

    def lease_events(self, lease_id: int, **filters: Any) -> list[Row]:
        """Return a lease's history."""
        return self._all(f"/v1/leases/{lease_id}/events", filters)

    def lease_usage(self, lease_id: int, **filters: Any) -> list[Row]:
        """Return what the meter recorded of a lease."""
        return self._all(f"/v1/leases/{lease_id}/usage", filters)

    def site_usage(self, site_id: int, **filters: Any) -> list[Row]:
        """Return what the meter recorded of a site's leases."""
        return self._all(f"/v1/sites/{site_id}/usage", filters)

    def reports(self, **filters: Any) -> list[Row]:
        """Return meter reports."""
        return self._all("/v1/reports", filters)

    def offerings(self, **filters: Any) -> list[Row]:
        """Return all shares on offer, with their revenue by source."""
        return self._all("/v1/shares", filters)

    def offering(self, site_id: int, **filters: Any) -> Row:
        """Return the shares of one site."""
        return self._one(f"/v1/shares/{site_id}", filters)

    def holders(self, site_id: int, **filters: Any) -> list[Row]:
        """Return who holds a site's shares, and what each may claim."""
        return self._all(f"/v1/shares/{site_id}/holders", filters)

    def holding(self, site_id: int, account: str | None = None, **filters: Any) -> Row:
        """Return what an account, by default this one, holds of a site's shares."""
        return self._one(f"/v1/shares/{site_id}/holders/{account or self.address}", filters)

    def distributions(self, site_id: int, **filters: Any) -> list[Row]:
        """Return the revenue that came to a site's shares."""
        return self._all(f"/v1/shares/{site_id}/distributions", filters)

    def payouts(self, **filters: Any) -> list[Row]:
        """Return what was paid out: `account`, `kind`, `subject`, ..."""
        return self._all("/v1/payouts", filters)

    def bond(self, site_id: int, **filters: Any) -> Row:
        """Return a site's bond."""
        return self._one(f"/v1/bonds/{site_id}", filters)

    def portfolio(self, account: str | None = None, **filters: Any) -> Row:
        """Return all that an account, by default this one, has here."""
        return self._one(f"/v1/accounts/{account or self.address}/portfolio", filters)

    def eligibility(self, account: str | None = None, **filters: Any) -> Row:
        """Return what an account, by default this one, may do, and why not."""
        return self._one(f"/v1/accounts/{account or self.address}/eligibility", filters)

    def trial_balance(self, **filters: Any) -> Row:
        """Return every account's balance and the totals of each token."""
        return self._one("/v1/ledger/trial-balance", filters)

    def journal(self, **filters: Any) -> list[Row]:
        """Return postings: `account`, `from_block`, `to_block`, `tx_hash`."""
        return self._all("/v1/ledger/journal", filters)

    def reconciliation(self, **filters: Any) -> list[Row]:
        """Return the comparisons of books and chain, newest block first."""
        return self._all("/v1/ledger/reconciliation", filters)

    def _one(self, path: str, filters: dict[str, Any]) -> Row:
        answer: Row = exact(self.read(path, filters)["data"])
        return answer

    def _all(self, path: str, filters: dict[str, Any]) -> list[Row]:
        """Follow the cursors to the end."""
        filters = {"limit": _PAGE, **filters}
        rows: list[Row] = []
        while True:
            answer = self.read(path, filters)
            rows += exact(answer["data"])
            if not answer["page"]["has_more"]:
                return rows
            filters["cursor"] = answer["page"]["next_cursor"]

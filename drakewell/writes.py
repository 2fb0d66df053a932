"""Every call that changes the chain, one method each; see `Core._write` for the errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drakewell.codec import Call
from drakewell.core import Core, Sent
from drakewell.errors import PlanMismatch
from drakewell.http import exact
from drakewell.reports import Report
from drakewell.terms import Terms, label, rfc3339, unix

_SOURCES = {"mining": 1, "demand_response": 2, "other": 3}
_OPEN_SECONDS = 900


class Writes(Core):
    """Amounts in base units, spans in seconds; each returns what was sent, not yet included."""

    # ------------------------------------------------------------------ sites

    def register_site(self, gpus: int, region: str, name: str, token: str | None = None) -> Sent:
        """Register a site of `gpus` GPUs, settled in `token` (the deployment's own unless given)."""
        token = token or self.token
        return self._write(
            "/v1/sites",
            {"token": token, "gpus": gpus, "region": region, "name": name},
            self._book("registerSite", token, gpus, label(region), name),
        )

    def offer_site(self, site_id: int, new_owner: str) -> Sent:
        """Offer the site to another owner, who accepts it."""
        return self._write(
            f"/v1/sites/{site_id}/offer", {"new_owner": new_owner}, self._book("offerSite", site_id, new_owner)
        )

    def accept_site(self, site_id: int) -> Sent:
        """Take over a site offered to the account."""
        return self._write(f"/v1/sites/{site_id}/accept", {}, self._book("acceptSite", site_id))

    def post_bond(self, site_id: int, amount: int) -> Sent:
        """Add to the site's bond."""
        return self._write(
            f"/v1/sites/{site_id}/bond",
            {"amount": str(amount)},
            self._book("postBond", site_id, amount),
            amount,
        )

    def withdraw_bond(self, site_id: int, amount: int, to: str | None = None) -> Sent:
        """Pay unlocked bond to `to`, by default the account."""
        to = to or self.address
        return self._write(
            f"/v1/sites/{site_id}/bond/withdraw",
            {"amount": str(amount), "to": to},
            self._book("withdrawBond", site_id, amount, to),
        )

    def issue_shares(self, site_id: int, revenue_bps: int, supply: int, name: str, symbol: str) -> Sent:
        """Issue the site's shares (18 decimals) to its owner: a claim on `revenue_bps` of rent from now on."""
        return self._write(
            f"/v1/sites/{site_id}/shares",
            {"revenue_bps": revenue_bps, "supply": str(supply), "name": name, "symbol": symbol},
            self._book("issue", site_id, revenue_bps, supply, name, symbol),
        )

    def push_shares(self, site_id: int) -> Sent:
        """Send the share holders' part that their contract refused at a settlement."""
        return self._write(f"/v1/sites/{site_id}/shares/push", {}, self._book("pushShares", site_id))

    # --------------------------------------------------------------- listings

    def list_capacity(self, site_id: int, terms: Terms) -> Sent:
        """Put GPUs of a site on the market."""
        return self._write(
            "/v1/listings",
            {"site_id": site_id, "terms": terms.as_json()},
            self._book("list", site_id, terms.as_args()),
        )

    def amend_listing(self, listing_id: int, terms: Terms) -> Sent:
        """Replace a listing's terms; leases keep theirs."""
        return self._write(
            f"/v1/listings/{listing_id}/amend",
            {"terms": terms.as_json()},
            self._book("amend", listing_id, terms.as_args()),
        )

    def withdraw_listing(self, listing_id: int) -> Sent:
        """Take a listing off the market; its leases run on."""
        return self._write(f"/v1/listings/{listing_id}/withdraw", {}, self._book("withdrawListing", listing_id))

    # ----------------------------------------------------------------- leases

    def open_lease(
        self,
        listing_id: int,
        gpus: int,
        term: int,
        *,
        deposit: int | None = None,
        max_price: int | None = None,
        holder: str | None = None,
    ) -> Sent:
        """Lease `gpus` GPUs for `term` seconds.

        Args:
            listing_id: where.
            gpus: how many.
            term: seconds.
            deposit: base units; the price of the whole term if not given.
            max_price: base units per GPU-hour; what is quoted now if not given.
            holder: who gets the lease token, by default the account.
        """
        answer = self.read("/v1/quotes", {"listing_id": listing_id, "gpus": gpus, "term": term})
        quote = exact(answer["data"])
        deposit = quote["max_deposit"] if deposit is None else deposit
        max_price = quote["price"] if max_price is None else max_price
        holder = holder or self.address
        deadline = unix(answer["meta"]["as_of_time"]) + _OPEN_SECONDS
        return self._write(
            "/v1/leases",
            {
                "listing_id": listing_id,
                "version": quote["version"],
                "gpus": gpus,
                "term": term,
                "deposit": str(deposit),
                "max_price": str(max_price),
                "holder": holder,
                "deadline": rfc3339(deadline),
            },
            self._book("open", (listing_id, quote["version"], gpus, term, deposit, max_price, holder, deadline)),
            deposit,
        )

    def fund(self, lease_id: int, amount: int) -> Sent:
        """Add to a lease's deposit: a gift to whoever holds it."""
        return self._write(
            f"/v1/leases/{lease_id}/fund", {"amount": str(amount)}, self._book("fund", lease_id, amount), amount
        )

    def close(self, lease_id: int, code: int = 1) -> Sent:
        """Give notice as the lease's holder."""
        return self._write(f"/v1/leases/{lease_id}/close", {"code": code}, self._book("close", lease_id, code))

    def reclaim(self, lease_id: int, code: int = 10_000) -> Sent:
        """Take the GPUs back as the site's owner, for a compensation from the bond."""
        return self._write(f"/v1/leases/{lease_id}/reclaim", {"code": code}, self._book("reclaim", lease_id, code))

    def settle(self, lease_id: int) -> Sent:
        """Settle what the meter holds final; anyone may."""
        return self._write(f"/v1/leases/{lease_id}/settle", {}, self._book("settle", lease_id))

    def settle_many(self, lease_ids: Sequence[int]) -> Sent:
        """Settle a page of leases; one that cannot be settled is skipped and named by an event."""
        return self._write(
            "/v1/leases/settle", {"lease_ids": list(lease_ids)}, self._book("settleMany", list(lease_ids))
        )

    def release(self, lease_id: int) -> Sent:
        """Free the GPUs of an ended lease; anyone may."""
        return self._write(f"/v1/leases/{lease_id}/release", {}, self._book("release", lease_id))

    def collect(self, lease_id: int, to: str | None = None) -> Sent:
        """Pay the lease's holder what is not needed for time still to be settled, to `to`, by default the account."""
        to = to or self.address
        return self._write(f"/v1/leases/{lease_id}/collect", {"to": to}, self._book("collect", lease_id, to))

    def transfer_lease(self, lease_id: int, to: str) -> Sent:
        """Hand the lease's token on, with all that it will ever pay."""
        return self._write(
            f"/v1/leases/{lease_id}/transfer",
            {"to": to},
            self._book("transferFrom", self.address, to, lease_id),
        )

    # ------------------------------------------------------------------ usage

    def report_usage(self, report: Report, signatures: Sequence[bytes]) -> Sent:
        """Post a report with the signatures of a quorum of attesters, signers ascending (`reports.sign`)."""
        body = {
            "report": {
                "site_id": report.site_id,
                "samples_root": "0x" + report.samples_root.hex(),
                "entries": [entry.__dict__ for entry in report.entries],
            },
            "signatures": ["0x" + signature.hex() for signature in signatures],
        }
        meter = self.deployment["UsageMeter"]
        return self._write(
            "/v1/reports", body, Call("UsageMeter", meter, "report", (report.as_args(), list(signatures)))
        )

    def void_report(self, lease_id: int, from_epoch: int) -> Sent:
        """Void the report of a lease that starts at `from_epoch`, and the later ones, as a challenger."""
        meter = self.deployment["UsageMeter"]
        return self._write(
            "/v1/reports/void",
            {"lease_id": lease_id, "from_epoch": from_epoch},
            Call("UsageMeter", meter, "void", (lease_id, from_epoch)),
        )

    # ----------------------------------------------------------------- shares

    def transfer_shares(self, site_id: int, to: str, amount: int) -> Sent:
        """Send shares (18 decimals); what was earned before stays with the sender."""
        return self._write(
            f"/v1/shares/{site_id}/transfer",
            {"to": to, "amount": str(amount)},
            self._share(site_id, "transfer", to, amount),
        )

    def distribute(self, site_id: int, amount: int, source: str, ref: int = 0) -> Sent:
        """Pay revenue to a site's share holders; `source` is mining, demand_response or other.

        Raises:
            ValueError: another source.
        """
        if source not in _SOURCES:
            raise ValueError(f"source must be one of {', '.join(_SOURCES)}, not {source!r}")
        return self._write(
            f"/v1/shares/{site_id}/distribute",
            {"amount": str(amount), "source": source, "ref": str(ref)},
            self._share(site_id, "distribute", amount, _SOURCES[source], ref),
            amount,
        )

    def claim(self, site_id: int, to: str | None = None) -> Sent:
        """Claim what the account's shares have earned."""
        to = to or self.address
        return self._write(f"/v1/shares/{site_id}/claim", {"to": to}, self._share(site_id, "claim", to))

    def claim_for(self, site_id: int, holder: str) -> Sent:
        """Pay another holder what its shares have earned; anyone may."""
        return self._write(
            f"/v1/shares/{site_id}/claim-for", {"holder": holder}, self._share(site_id, "claimFor", holder)
        )

    # ---------------------------------------------------------------- credits

    def withdraw_credit(self, token: str | None = None, to: str | None = None) -> Sent:
        """Draw the account's credit in a token, by default the settlement token."""
        token, to = token or self.token, to or self.address
        return self._write("/v1/credits/withdraw", {"token": token, "to": to}, self._book("withdrawCredit", token, to))

    def _book(self, function: str, *args: Any) -> Call:
        return Call("LeaseBook", self.deployment["LeaseBook"], function, args)

    def _share(self, site_id: int, function: str, *args: Any) -> Call:
        return Call("CapacityShare", self.share_address(site_id), function, args)

    def share_address(self, site_id: int) -> str:
        """Return the address of a site's shares, computed from the pinned ones.

        Raises:
            PlanMismatch: the API names another.
        """
        if site_id not in self._shares:
            offering = exact(self.read(f"/v1/shares/{site_id}", {})["data"])
            computed = self.deployment.share_of(site_id, self.token, offering["supply"])
            if computed != offering["share"]:
                raise PlanMismatch(f"share: the API says {offering['share']}, the LeaseBook makes {computed}")
            self._shares[site_id] = computed
        return self._shares[site_id]

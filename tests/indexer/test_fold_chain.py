"""The fold beside the contracts: random actions on Anvil, then every stored value and view equals the fold's."""

import random
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from indexer import formulas
from indexer.fold import Fold, Genesis, Log
from scripts.launch import Node
from tests.indexer.fold_kit import Database
from tests.indexer.market import DAY, HOUR, USD, Contract, Market

STATES = (
    formulas.NONE,
    formulas.FORWARD,
    formulas.ACTIVE,
    formulas.CLOSING,
    formulas.RECLAIMING,
    formulas.ENDED,
    formulas.FINAL,
)
ZERO = "0x" + "0" * 40

#: Actions that must have succeeded at least once, or the run says too little.
MUST = {
    *("open", "fund", "close", "reclaim", "settle", "settle_many", "release", "collect", "sell"),
    *("report", "report_gap", "void", "share_transfer", "distribute", "claim", "forced_transfer", "freeze_shares"),
    *(
        "push",
        "withdraw_credit",
        "withdraw_fees",
        "post_bond",
        "withdraw_bond",
        "amend",
        "withdraw_listing",
        "list_ahead",
    ),
    *("hand_over", "gift", "set_fee", "freeze"),
}


class Play:
    """Random actions of the market's people, folded as they go."""

    def __init__(self, market: Market, seed: int) -> None:
        self.market, self.rng = market, random.Random(seed)
        self.book, self.meter, self.usd = market.book, market.meter, market.usd
        self.buyer = market.node.rpc("eth_accounts")[8]
        self.done: dict[str, int] = {}
        self.tried = 0
        names = ("IdentityRegistry", "LeaseBook", "UsageMeter")
        addresses = [market.records[name]["address"].lower() for name in names]
        first = min(record["block"] for record in market.records.values())
        self.fold = Fold(Genesis(*addresses, first))
        self.database = Database()
        self.state = self.fold.state(self.database.load)
        self.next = first

    # ------------------------------------------------------------------ acting

    def send(self, sender: str, contract: Contract, name: str, *args: Any) -> bool:
        """Send a transaction that may revert; say whether it did not."""
        transaction = {
            "from": sender,
            "to": contract.address,
            "data": contract.data(name, *args),
            "gas": hex(3_000_000),
        }
        sent = self.market.node.rpc("eth_sendTransaction", transaction)
        for _ in range(5_000):
            if receipt := self.market.node.rpc("eth_getTransactionReceipt", sent):
                return bool(receipt["status"] == "0x1")
        raise AssertionError(f"{name} was not mined")

    def step(self, name: str) -> None:
        self.tried += 1
        if getattr(self, name)():
            self.done[name] = self.done.get(name, 0) + 1

    def a_lease(self, *states: str) -> int:
        """Any lease, or one that was in one of `states` when last looked at."""
        now, rows = self.market.now(), self.database.rows.get("lease", {}).values()
        fitting = [row["lease_id"] for row in rows if not states or formulas.lease_state(row, now) in states]
        return int(self.rng.choice(fitting)) if fitting else 1

    def an_open_lease(self) -> int:
        return self.a_lease(*STATES[1:6])

    def a_site(self) -> int:
        return self.rng.randint(1, 2)

    def a_share(self) -> Contract:
        return self.market.share(self.a_site())

    def owner_of(self, lease: int) -> str:
        row = self.state.get("lease", (lease,))
        return (row and row["holder"]) or self.market.tenant

    def open(self) -> bool:
        listing = self.rng.randint(1, self.book.call("listingCount"))
        gpus, term = self.rng.randint(1, 4), self.rng.randint(HOUR, 30 * HOUR)
        try:
            quote = self.book.call("quote", listing, gpus, term)
        except Exception:  # noqa: BLE001 - the quote refuses as open would
            return False
        deposit = self.rng.choice((quote[5], self.rng.randint(quote[4], quote[5])))
        params = (listing, quote[0], gpus, term, deposit, quote[1], self.market.tenant, self.market.now() + DAY)
        return self.send(self.market.tenant, self.book, "open", params)

    def fund(self) -> bool:
        return self.send(
            self.market.stranger,
            self.book,
            "fund",
            self.a_lease(formulas.FORWARD, formulas.ACTIVE),
            self.rng.randint(1, 20 * USD),
        )

    def close(self) -> bool:
        lease = self.a_lease(formulas.FORWARD, formulas.ACTIVE, formulas.RECLAIMING)
        return self.send(self.owner_of(lease), self.book, "close", lease, self.rng.randint(1, 9_999))

    def reclaim(self) -> bool:
        lease = self.a_lease(formulas.FORWARD, formulas.ACTIVE, formulas.CLOSING)
        site = self.state.get("lease", (lease,))
        return bool(site) and self.send(self.site_owner(site["site_id"]), self.book, "reclaim", lease, 10_007)

    def site_owner(self, site: int) -> str:
        return str(self.book.call("siteOf", site)[0])

    def settle(self) -> bool:
        return self.send(self.market.stranger, self.book, "settle", self.an_open_lease())

    def settle_many(self) -> bool:
        return self.send(self.market.stranger, self.book, "settleMany", [self.an_open_lease() for _ in range(3)])

    def release(self) -> bool:
        return self.send(self.market.stranger, self.book, "release", self.a_lease(formulas.ENDED, formulas.FINAL))

    def collect(self) -> bool:
        lease = self.a_lease(*STATES[3:])
        return self.send(self.owner_of(lease), self.book, "collect", lease, self.buyer)

    def sell(self) -> bool:
        lease = self.a_lease()
        holder = self.owner_of(lease)
        return self.send(holder, self.book, "transferFrom", holder, self.buyer, lease)

    def report(self, gap: int = 0) -> bool:
        lease, now = self.an_open_lease(), self.market.now()
        site, gpus, start, end, _ = self.book.call("meterTerms", lease)
        if not site:
            return False
        reported_to, round_, *_ = self.meter.call("totals", lease)
        begin = max(reported_to, self.meter.call("lapsedTo", lease)) + gap
        entries = []
        for _ in range(self.rng.randint(1, 2)):  # a batch may hold two spans of one lease
            until = min(begin + self.rng.randint(1, 3), now // HOUR)
            seconds = gpus * max(0, min(end, until * HOUR) - max(start, begin * HOUR))
            available = seconds * self.rng.choice((100, 100, 99, 95, 40, 0)) // 100
            curtailed = min(seconds - available, seconds // 50)
            entries.append((lease, begin, until, round_, available, available // 3, curtailed, available // 5))
            begin = until
        report = (site, self.rng.randbytes(32), entries)
        digest = self.meter.call("digestOf", report)
        signers = sorted(self.market.attesters, key=lambda each: int(each, 16))
        signatures = [bytes(self.market.keys[each].unsafe_sign_hash(digest).signature) for each in signers]
        before = self.meter.call("totals", lease)[0]
        return (
            self.send(self.market.stranger, self.meter, "report", report, signatures)
            and self.meter.call("totals", lease)[0] != before
        )

    def report_gap(self) -> bool:
        return self.report(gap=1)

    def void(self) -> bool:
        lease = self.an_open_lease()
        row = self.state.get("meter", (lease,))
        if not row or not row["ring"]:
            return False
        return self.send(self.market.admin, self.meter, "void", lease, self.rng.choice(row["ring"][-2:])[1])

    def holder(self) -> str:
        return self.rng.choice((self.market.owner, self.market.investor, self.market.attesters[0]))

    def share_transfer(self) -> bool:
        share, sender = self.a_share(), self.holder()
        balance = share.call("balanceOf", sender)
        return self.send(sender, share, "transfer", self.holder(), balance * self.rng.randint(0, 10) // 10)

    def forced_transfer(self) -> bool:
        share, sender = self.a_share(), self.holder()
        balance = share.call("balanceOf", sender)
        return self.send(self.market.admin, share, "forcedTransfer", sender, self.holder(), balance // 3)

    def freeze_shares(self) -> bool:
        share, account = self.a_share(), self.holder()
        return self.send(self.market.admin, share, "setFrozenTokens", account, self.rng.choice((0, 10**22)))

    def distribute(self) -> bool:
        amount, source = self.rng.choice((1, 999, 10 * USD, 333 * USD)), self.rng.randint(1, 3)
        return self.send(self.market.stranger, self.a_share(), "distribute", amount, source, 5)

    def claim(self) -> bool:
        return self.send(self.market.stranger, self.a_share(), "claimFor", self.holder())

    def blacklist(self) -> bool:
        """The clone refuses its cash until somebody pushes it."""
        return self.send(self.market.admin, self.usd, "blacklist", self.a_share().address)

    def push(self) -> bool:
        site = self.a_site()
        self.send(self.market.admin, self.usd, "unBlacklist", self.market.share(site).address)
        return self.send(self.market.stranger, self.book, "pushShares", site)

    def withdraw_credit(self) -> bool:
        return self.send(self.market.owner, self.book, "withdrawCredit", self.usd.address, self.buyer)

    def withdraw_fees(self) -> bool:
        return self.send(self.market.admin, self.book, "withdrawFees", self.usd.address, self.buyer)

    def post_bond(self) -> bool:
        return self.send(self.market.stranger, self.book, "postBond", self.a_site(), self.rng.randint(1, 100 * USD))

    def withdraw_bond(self) -> bool:
        site = self.a_site()
        return self.send(self.site_owner(site), self.book, "withdrawBond", site, self.rng.randint(1, USD), self.buyer)

    def amend(self) -> bool:
        listing = self.rng.randint(1, self.book.call("listingCount"))
        site, version, *_ = self.book.call("listingOf", listing)
        terms = list(self.book.call("termsOf", listing, version))
        terms[2], terms[7] = self.rng.randint(1, terms[3]), self.rng.choice((0, HOUR, 3 * HOUR))
        return self.send(self.site_owner(site), self.book, "amend", listing, tuple(terms))

    def withdraw_listing(self) -> bool:
        if self.rng.random() < 0.8 or self.book.call("listingCount") < 3:
            return False
        listing = self.book.call("listingCount")
        return self.send(
            self.site_owner(self.book.call("listingOf", listing)[0]), self.book, "withdrawListing", listing
        )

    def list_ahead(self) -> bool:
        """A forward: its window opens later, so a lease of it may be reclaimed before it starts."""
        site = self.a_site()
        version = self.book.call("listingOf", site)[1]
        terms = list(self.book.call("termsOf", site, version))
        start = self.market.now() + self.rng.randint(1, 20) * HOUR
        terms[0], terms[1], terms[4], terms[13] = start, start + 3 * DAY, 4, self.rng.choice((0, HOUR))
        return self.send(self.site_owner(site), self.book, "list", site, tuple(terms))

    def hand_over(self) -> bool:
        site = self.a_site()
        there = {self.market.owner: self.market.investor, self.market.investor: self.market.owner}
        owner = self.site_owner(site)
        new = there[to_checksum_address(owner)]
        return self.send(owner, self.book, "offerSite", site, new) and (
            self.rng.random() < 0.3 or self.send(new, self.book, "acceptSite", site)
        )

    def gift(self) -> bool:
        target = self.rng.choice((self.book.address, self.a_share().address))
        return self.send(self.market.stranger, self.usd, "transfer", target, self.rng.randint(1, 9))

    def freeze(self) -> bool:
        """Freeze a holder and, mostly, release him again."""
        account = self.holder()
        return self.freezes(account, True) and (self.rng.random() < 0.2 or self.freezes(account, False))

    def thaw(self) -> bool:
        return self.freezes(self.holder(), False)

    def freezes(self, account: str, frozen: bool) -> bool:
        return self.send(self.market.admin, self.market.registry, "setFrozen", account, frozen)

    def set_fee(self) -> bool:
        return self.send(self.market.admin, self.book, "setFee", self.rng.randint(0, 1_000))

    def wait(self) -> bool:
        self.market.wait(self.rng.choice((1, 60, HOUR, 2 * HOUR, 7 * HOUR)))
        return True

    def untold(self) -> set[str]:
        """Return which outcomes no lease or report has had yet."""
        rows = self.database.rows
        leases, usage = rows.get("lease", {}).values(), rows.get("usage", {}).values()
        told = {
            "penalty": any(lease["penalty"] for lease in leases),
            "compensation": any(lease["compensation"] for lease in leases),
            "ran dry": any(lease["code"] == formulas.RAN_DRY for lease in leases),
            "term ended": any(lease["code"] == formulas.TERM_ENDED for lease in leases),
            "burnt": any(lease["holder"] is None for lease in leases),
            "voided": any(report["voided"] for report in usage),
            "shared": any(lease["shares_total"] for lease in leases),
        }
        return {what for what, so in told.items() if not so}

    # ----------------------------------------------------------------- folding

    def follow(self) -> None:
        """Fold what is new of the chain, one batch, and store it as the store does."""
        head = self.market.height()
        if head < self.next:
            return
        numbers = range(self.next, head + 1)
        headers = self.market.node.headers(numbers)
        times = {number: int(header["timestamp"], 16) for number, header in zip(numbers, headers, strict=True)}
        answer = self.market.node.rpc("eth_getLogs", {"fromBlock": hex(self.next), "toBlock": hex(head)})
        logs = [
            Log(
                int(item["blockNumber"], 16),
                int(item["logIndex"], 16),
                int(item["transactionIndex"], 16),
                item["transactionHash"],
                times[int(item["blockNumber"], 16)],
                item["address"].lower(),
                tuple(bytes.fromhex(topic[2:]) for topic in item["topics"]),
                bytes.fromhex(item["data"][2:]),
            )
            for item in answer
        ]
        self.fold.fold_block(self.state, logs)
        self.predict(times)
        self.database.save(self.state)
        self.state.clear()
        if self.rng.random() < 0.5:
            self.state.shrink()
        self.next = head + 1

    def predict(self, times: dict[int, int]) -> None:
        """Check that the formulas foretell what each event said: a stream's next line, rent's parts, compensation."""
        rows = {(table, key): row for table in ("lease", "offering") for key, row in self.kept(table)}
        for table, key, row, block, _ in self.state.versions:
            old = rows.get((table, key))
            if table == "offering" and old and (paid := row["distributed"] - old["distributed"]):
                line = (row["index"], row["index_end"], row["stream_start"], row["stream_end"])
                assert tuple(formulas.distributed(old, paid, times[block])) == line
            if table == "lease" and old and row["compensation"] != old["compensation"]:
                terms = self.state.need("listing_terms", (row["listing_id"], row["version"]))
                assert formulas.compensation(old, terms, old["end_at"], row["end_at"]) == row["compensation"]
            if table == "lease":
                bps = self.state.need("site", (row["site_id"],))["revenue_bps"]
                split = formulas.settlement(row, bps, row["available"])
                assert tuple(split[:3]) == (row["rent_total"], row["fee_total"], row["shares_total"])
            rows[table, key] = row

    def kept(self, table: str) -> list[tuple[Any, dict[str, Any]]]:
        return list(self.database.rows.get(table, {}).items())

    # --------------------------------------------------------------- comparing

    def compare(self) -> int:
        """Compare everything at the head; return how many values were compared."""
        now, compared = self.market.now(), 0

        def same(what: str, ours: Any, theirs: Any) -> None:
            nonlocal compared
            compared += 1
            assert ours == theirs, f"{what} at {now}: the fold has {ours}, the chain {theirs}"

        state, usd = self.state, self.usd.address.lower()
        book = self.book.address.lower()
        for site in range(1, self.book.call("siteCount") + 1):
            self.compare_site(site, same)
        for listing in range(1, self.book.call("listingCount") + 1):
            self.compare_listing(listing, now, same)
        for lease in range(1, self.book.call("leaseCount") + 1):
            self.compare_lease(lease, now, same)
        same("owed", state.need("owed", (book, usd))["amount"], self.book.call("totalOwed", usd))
        same("cash", state.balance("cash:leasebook", usd), self.usd.call("balanceOf", book))
        same("fees", amount(state.get("fees", (usd,))), self.book.call("feesOf", usd))
        for account in (self.market.owner, self.market.investor):
            row = state.get("credit", (usd, account.lower()))
            same("credit", amount(row), self.book.call("creditOf", usd, account))
        for (account,), row in self.database.rows["identity"].items():
            ours = tuple(row[name] for name in ("valid_until", "country", "flags", "party"))
            same(f"identity of {account}", ours, self.market.registry.call("identityOf", account))
        same("fee", state.need("policy", (book,))["fee_bps"], self.book.call("feeBps"))
        liabilities = 0
        for (account, token), balance in self.database.balances.items():
            if token == usd and account.partition(":")[0] in ("escrow", "bond", "credit", "fee", "deferred"):
                liabilities -= balance
        same("the books of the LeaseBook", liabilities, self.book.call("totalOwed", usd))
        return compared

    def compare_site(self, site: int, same: Any) -> None:
        row = self.state.need("site", (site,))
        columns = ("owner", "gpus", "revenue_bps", "pending_owner", "token", "share", "bond", "locked_bond")
        ours = tuple(ZERO if row[name] is None else row[name] for name in columns)
        same(f"site {site}", ours, self.book.call("siteOf", site))
        same(f"pending shares of site {site}", row["pending_shares"], self.book.call("pendingSharesOf", site))
        share, usd = self.market.share(site), self.usd.address.lower()
        address = share.address.lower()
        offering = self.state.need("offering", (address,))
        stream = ("index", "index_end", "stream_start", "stream_end")
        same("stream", tuple(offering[name] for name in stream), share.call("stream"))
        same("index", formulas.index(offering, self.market.now()), share.call("currentIndex"))
        same("owed", offering["owed"], share.call("totalOwed", usd))
        same("owed", self.state.need("owed", (address, usd))["amount"], share.call("totalOwed", usd))
        same("cash", self.state.balance(f"cash:offering/{site}", usd), self.usd.call("balanceOf", address))
        for (clone, account), holding in self.database.rows["holding"].items():
            if clone != address:
                continue
            paid_index, accrued, has_frozen = share.call("accountOf", account)
            same("holding", (holding["paid_index"], holding["accrued"]), (paid_index, accrued))
            same("payable", -self.state.balance(f"payable:offering/{site}/{account}", usd), accrued)
            same("balance", holding["balance"], share.call("balanceOf", account))
            same("frozen", holding["frozen"], share.call("getFrozenTokens", account))
            same("has frozen", holding["frozen"] != 0, has_frozen)
            claimable = formulas.claimable(offering, holding, self.market.now())
            same("claimable", claimable, share.call("claimableDown", account))

    def compare_listing(self, listing: int, now: int, same: Any) -> None:
        row = self.state.need("listing", (listing,))
        columns = ("site_id", "version", "leased", "busy_from", "busy_until", "withdrawn")
        same(f"listing {listing}", tuple(row[name] for name in columns), self.book.call("listingOf", listing))
        for version in range(1, row["version"] + 1):
            terms = self.state.need("listing_terms", (listing, version))
            theirs = list(self.book.call("termsOf", listing, version))
            theirs[-1] = theirs[-1].rstrip(b"\0").decode()
            same(f"terms {listing}/{version}", list(terms.values())[2:], theirs)
        try:
            quote = self.book.call("quote", listing, 1, 2 * HOUR)
        except Exception:  # noqa: BLE001 - full, withdrawn or over: nothing to quote
            return
        site = self.state.need("site", (row["site_id"],))
        same(f"quote of {listing}", tuple(formulas.quote(row, site, 1, 2 * HOUR, now)), quote)

    def compare_lease(self, lease: int, now: int, same: Any) -> None:
        row, meter = self.state.need("lease", (lease,)), self.state.get("meter", (lease,))
        terms = self.state.need("listing_terms", (row["listing_id"], row["version"]))
        names = (
            *("site_id", "listing_id", "version", "gpus", "start_at", "term_end", "closing_at", "code", "released"),
            *("finalised", "price", "deposited", "fee_bps", "rent_total", "unshared_net", "settled_until", "collected"),
            *("compensation", "penalty"),
        )
        same(f"lease {lease}", tuple(row[name] or 0 for name in names), self.book.call("leaseOf", lease))
        same(f"end of {lease}", row["end_at"], self.book.call("endOf", lease))
        same(f"state of {lease}", formulas.lease_state(row, now), STATES[self.book.call("stateOf", lease)])
        same(f"collectable of {lease}", formulas.collectable(row), self.book.call("collectable", lease))
        same(f"penalty of {lease}", formulas.penalty_view(row, meter, terms, now), self.book.call("penaltyOf", lease))
        same(
            f"escrow of {lease}",
            -self.state.balance(f"escrow:lease/{lease}", self.usd.address.lower()),
            formulas.escrow(row),
        )
        if row["holder"]:
            same(f"holder of {lease}", row["holder"], self.book.call("ownerOf", lease))
        same(f"settled of {lease}", tuple(formulas.meter_settled(meter, now)), self.meter.call("settled", lease))
        same(f"lapse of {lease}", formulas.lapsed_to(row, meter, now), self.meter.call("lapsedTo", lease))
        totals = [meter[name] if meter else 0 for name in ("round", "available", "due", "busy", "curtailed")]
        same(f"totals of {lease}", (formulas.reported_to(row, meter), *totals), self.meter.call("totals", lease))
        count, ring = self.meter.call("checkpointsOf", lease)
        ours = [(to, to - start, *rest[:5]) for _, start, to, *rest in (meter["ring"] if meter else [])]
        same(f"ring of {lease}", ours, list(ring))
        same(f"reports of {lease}", meter["count"] if meter else 0, count)


def amount(row: dict[str, Any] | None) -> int:
    return row["amount"] if row else 0


ACTIONS = {
    "wait": 14,
    "report": 16,
    "open": 8,
    "settle": 12,
    "settle_many": 4,
    "void": 6,
    "report_gap": 4,
    "fund": 3,
    "close": 2,
    "reclaim": 2,
    "release": 4,
    "collect": 8,
    "sell": 3,
    "share_transfer": 6,
    "forced_transfer": 2,
    "freeze_shares": 2,
    "distribute": 4,
    "claim": 5,
    "blacklist": 3,
    "push": 3,
    "withdraw_credit": 3,
    "amend": 2,
    "withdraw_fees": 2,
    "post_bond": 2,
    "withdraw_bond": 2,
    "withdraw_listing": 2,
    "list_ahead": 3,
    "hand_over": 1,
    "gift": 2,
    "set_fee": 1,
    "freeze": 1,
    "thaw": 4,
}


@pytest.fixture(scope="module")
def play(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Play:
    market = Market(node, Path(tmp_path_factory.mktemp("market")))
    for site in (1, 2):
        market.site(bond=3_000 * USD)
        market.shares(site)
        market.listing(site)
    people = [(market.investor, 4 + 2, 1), (market.owner, 4, 1), (market.attesters[0], 8 + 2, 10)]
    until = market.now() + 1_000 * DAY
    market.registry.send(
        market.admin,
        "registerMany",
        [account for account, _, _ in people],
        [(until, 840, flags, party) for _, flags, party in people],
    )
    return Play(market, 20_261_122)


def test_after_random_actions_the_fold_equals_the_chain(play: Play) -> None:
    names, weights = list(ACTIONS), list(ACTIONS.values())
    compared = 0
    for step in range(2_000):
        missing = sorted(MUST - set(play.done))
        rare = step > 300 and missing and play.rng.random() < 0.3
        play.step(play.rng.choice(missing) if rare else play.rng.choices(names, weights)[0])
        if step % 10 == 9:
            play.follow()
        if step % 60 == 59:
            compared += play.compare()
        if step > 500 and not missing and play.untold() == set():
            break
    play.follow()
    compared += play.compare()

    print(f"{play.tried} actions, done {play.done}, {compared} values compared")
    assert not MUST - set(play.done), "never done"
    assert not play.untold(), "never happened"
    assert sum(play.done.values()) >= play.tried // 3

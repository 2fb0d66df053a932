"""Made-up chains for tests of the fold: events are encoded by the ABIs, cash moves by the token's own logs."""

from typing import Any

from eth_abi import encode

from indexer import events
from indexer.fold import BALANCE, Fold, Genesis, Key, Log, State

REGISTRY, LEASEBOOK, METER, TOKEN, SHARE = (f"0x{byte * 20}" for byte in ("a1", "b2", "c3", "d4", "e5"))
NOBODY = "0x" + "0" * 40
OWNER, TENANT, BUYER, HOLDER, STRANGER = (f"0x{byte * 20}" for byte in ("01", "02", "03", "04", "05"))

GENESIS = Genesis(registry=REGISTRY, leasebook=LEASEBOOK, meter=METER, block=1)

HOUR = 3600
#: A unix hour's start; the second day of the made-up chain is what contracts.md tells of.
DAY = 1_790_000_000 // 86_400 * 86_400

#: Share units of the made-up offering.
SUPPLY = 10**24

TERMS: dict[str, Any] = {
    "from": DAY,
    "until": DAY + 90 * 86_400,
    "floorPrice": 2_500_000,
    "ceilingPrice": 2_500_000,
    "gpus": 64,
    "minTerm": HOUR,
    "maxTerm": 30 * 86_400,
    "notice": HOUR,
    "slaBps": 9_900,
    "penaltyBps": 15_000,
    "curtailableBps": 500,
    "wattsPerGpu": 700,
    "pueBps": 12_500,
    "reclaimWindow": 2 * HOUR,
    "compensationBps": 1_000,
    "bondPerGpu": 50_000_000,
    "model": b"H100 SXM5 80GB".ljust(32, b"\0"),
}


def item(kind: str, name: str) -> dict[str, Any]:
    """Return the ABI item of an event."""
    return next(event for event in events.abi_events(kind) if event["name"] == name)


def encoded(abi: dict[str, Any], args: dict[str, Any]) -> tuple[tuple[bytes, ...], bytes]:
    """Return topics and data of an event; a struct's fields are given flat."""
    topics = [events.topic0(abi)]
    types, values = [], []
    for part in abi["inputs"]:
        if part["indexed"]:
            topics.append(encode([part["type"]], [args[part["name"]]]))
        elif part["type"] == "tuple":
            types.append("(" + ",".join(field["type"] for field in part["components"]) + ")")
            values.append(tuple(args[field["name"]] for field in part["components"]))
        else:
            types.append(part["type"])
            values.append(args[part["name"]])
    return tuple(topics), encode(types, values)


class Told:
    """One event to be emitted."""

    def __init__(self, kind: str, address: str, name: str, args: dict[str, Any]) -> None:
        self.kind, self.address, self.name, self.args = kind, address, name, args


def book(name: str, /, **args: Any) -> Told:
    return Told(events.LEASEBOOK, LEASEBOOK, name, args)


def meter(name: str, /, **args: Any) -> Told:
    return Told(events.METER, METER, name, args)


def share(name: str, /, **args: Any) -> Told:
    return Told(events.SHARE, SHARE, name, args)


def cash(payer: str, payee: str, value: int) -> Told:
    return Told(events.TOKEN, TOKEN, "Transfer", {"from": payer, "to": payee, "value": value})


class Database:
    """What a store keeps, in dicts; it counts the loader's calls."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Any]] = {}
        self.balances: dict[tuple[str, str], int] = {}
        self.loads: list[tuple[str, list[Key]]] = []

    def load(self, table: str, keys: list[Key]) -> dict[Key, Any]:
        self.loads.append((table, keys))
        if table == BALANCE:
            wanted = {account for (account,) in keys}
            return {key: amount for key, amount in self.balances.items() if key[0] in wanted}
        rows = self.rows.get(table, {})
        return {key: rows[key] for key in keys if key in rows}

    def save(self, state: State) -> None:
        for table, rows in state.current().items():
            self.rows.setdefault(table, {}).update(rows)
        self.balances.update(state.balances())


class Story:
    """A chain that grows by one block a transaction, folded as it grows."""

    def __init__(self, time: int = DAY) -> None:
        self.fold = Fold(GENESIS)
        self.database = Database()
        self.state = self.fold.state(self.database.load)
        self.block, self.time = GENESIS.block, time
        self.logs: list[Log] = []

    def told(self, *tale: Told) -> list[Log]:
        """Encode one transaction's events at the present block and time."""
        self.block += 1
        logs = []
        for index, event in enumerate(tale):
            topics, data = encoded(item(event.kind, event.name), event.args)
            tx_hash = "0x" + f"{self.block:064x}"
            logs.append(Log(self.block, index, 0, tx_hash, self.time, event.address, topics, data))
        return logs

    def tx(self, *tale: Told, at: int | None = None) -> None:
        """Fold one transaction in a block of its own."""
        self.time = self.time if at is None else at
        logs = self.told(*tale)
        self.logs += logs
        self.fold.fold_block(self.state, logs)

    def row(self, table: str, *key: Any) -> dict[str, Any]:
        """Return a current row."""
        return self.state.need(table, key)

    def owed(self, account: str) -> int:
        """Return what is owed on a liability account, or minus what an asset holds."""
        return -self.state.balance(account, TOKEN)

    def trial_balance(self) -> dict[str, int]:
        """Return every account's balance in the settlement token that is not zero."""
        last: dict[str, int] = {}
        for posting in self.state.postings:
            last[posting.account] = posting.balance
        return {account: balance for account, balance in last.items() if balance}

    # ------------------------------------------------------------ the usual tale

    def opened_site(self, bond: int = 10_000_000_000) -> None:
        """A token, a site, its bond, one listing and its shares, all with the owner."""
        self.tx(book("FeeSet", feeBps=100))
        self.tx(book("TokenAllowed", token=TOKEN, allowed=True))
        region = b"NO-03".ljust(32, b"\0")
        self.tx(
            book("SiteRegistered", siteId=1, owner=OWNER, token=TOKEN, gpus=64, region=region, name="Fjord"),
        )
        self.tx(book("BondPosted", siteId=1, payer=OWNER, amount=bond, bond=bond), cash(OWNER, LEASEBOOK, bond))
        self.tx(book("ListingSet", listingId=1, siteId=1, version=1, **TERMS))

    def issue(self) -> None:
        """Issue the site's shares, as `LeaseBook.issue` does: the event, then the clone's mint."""
        self.tx(*self.issuing())

    @staticmethod
    def issuing() -> tuple[Told, Told]:
        """The event and the clone's mint of an issue of 60 % of revenue."""
        return (
            book(
                "SharesIssued",
                siteId=1,
                share=SHARE,
                owner=OWNER,
                revenueBps=6_000,
                supply=SUPPLY,
                name="Fjord shares",
                symbol="FJD",
            ),
            share("Transfer", **{"from": NOBODY, "to": OWNER, "value": SUPPLY}),
        )

    def open(self, deposit: int, *, term: int = 24 * HOUR, gpus: int = 8, lease_id: int = 1, at: int) -> None:
        """Open a lease at 2.50 per GPU-hour."""
        locked, leased = self.row("site", 1)["locked_bond"], self.row("listing", 1)["leased"]
        self.tx(
            book("Transfer", **{"from": NOBODY, "to": TENANT, "tokenId": lease_id}),
            book(
                "LeaseOpened",
                leaseId=lease_id,
                listingId=1,
                holder=TENANT,
                payer=TENANT,
                siteId=1,
                version=1,
                gpus=gpus,
                start=at,
                termEnd=at + term,
                price=2_500_000,
                feeBps=100,
                deposit=deposit,
                lockedBond=locked + gpus * 50_000_000,
                leased=leased + gpus,
            ),
            cash(TENANT, LEASEBOOK, deposit),
            at=at,
        )

    def report(
        self, report_id: int, start: int, end: int, *, available: int, due: int, at: int, lease_id: int = 1
    ) -> None:
        """Report the unix hours `(start, end]`."""
        row = self.state.get("meter", (lease_id,))
        root = report_id.to_bytes(32)
        self.tx(
            meter("Reported", reportId=report_id, siteId=1, samplesRoot=root, submitter=STRANGER),
            meter(
                "UsageRecorded",
                leaseId=lease_id,
                reportId=report_id,
                fromEpoch=start,
                toEpoch=end,
                round=row["round"] if row else 0,
                available=available,
                busy=available // 2,
                curtailed=0,
                wattHours=7,
                due=due,
            ),
            at=at,
        )

    def void(self, start: int, end: int, *, at: int, lease_id: int = 1) -> None:
        """Void the reports of the unix hours `(start, end]`."""
        count = self.row("meter", lease_id)["round"] + 1
        self.tx(
            meter("Voided", leaseId=lease_id, challenger=STRANGER, fromEpoch=start, toEpoch=end, round=count), at=at
        )

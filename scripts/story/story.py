"""Five days, hour by hour: what each person does over the API, with their own key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drakewell import Client, Deployment, Http, Sent, Terms
from drakewell.codec import Call
from drakewell.errors import CannotProceed, WouldRevert
from drakewell.plans import TOKEN_ABI
from drakewell.reports import sign
from drakewell.terms import unix
from scripts.story import cast
from scripts.story.clock import Clock, Office
from scripts.story.duty import HOUR, Pod
from scripts.story.fleet import MODELS
from scripts.story.meters import Meters

BLOCK_SECONDS = 12
WORKERS = 8
DAY = 24 * HOUR
FINAL_SECONDS = 8 * HOUR
"""A last report comes within an hour of a lease's end and is final six hours later; an hour more for good measure."""

POCKET_MONEY = 20_000 * cast.USD
OWNERS_MONEY = 400_000 * cast.USD

Act = tuple[str, Callable[[], Sent]]
Row = dict[str, Any]


@dataclass
class Fleet:
    """GPUs of each site by model, and the pods whose duty they show."""

    sites: list[Counter[str]]
    steady: list[Pod]
    gappy: list[Pod]


@dataclass
class Story:
    """The people, what they know, and the hour."""

    http: Http
    deployment: Deployment
    clock: Clock
    office: Office
    fleet: Fleet
    seed: int
    start: int = 0
    block: int = 0
    leases: dict[int, int] = field(default_factory=dict)
    """Lease id of each number in the cast's list, from 1."""
    refused: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Hand out the keys."""
        self.people = {
            name: Client(self.http, cast.account(self.seed, name), self.deployment) for name in cast.everyone()
        }
        self.names = {client.address: name for name, client in self.people.items()}
        self.anyone = Client(self.http, None, self.deployment)
        self.pool = ThreadPoolExecutor(WORKERS)
        self.meters = Meters(_curtailed_in(self))

    def close(self) -> None:
        """Close the connections to the API."""
        self.pool.shutdown()
        self.http.close()

    def run(self) -> Iterator[tuple[int, str]]:
        """Play it all; yield the hour and what happens in it, before it does."""
        yield 0, "people register"
        self.register()
        for number, site in enumerate(cast.SITES, 1):
            yield 0, f"{site.owner} opens {site.name}"
            self.found(number, site)
        # The story begins at a full hour, so that its hours are epochs.
        self.start = -(-self.clock.now() // HOUR) * HOUR
        for hour in range(1, cast.HOURS + 1):
            self._at(self.clock.mine(self.start + hour * HOUR))
            acts, text = self._acts(hour)
            yield hour, text
            if acts:
                self._together(acts)
            self._measure_new_leases(hour)

    def _together(self, acts: Sequence[Act]) -> list[Row]:
        """Let all act at once, each person in order; mine one block; return the transactions once they are seen."""
        by_person: dict[str, list[Callable[[], Sent]]] = {}
        for person, act in acts:
            by_person.setdefault(person, []).append(act)
        sent = [one for many in self.pool.map(_in_turn, by_person.values()) for one in many]
        self._at(self.clock.mine(self.clock.now() + BLOCK_SECONDS))
        return list(self.pool.map(Sent.wait, sent))

    def _official(self, *calls: Call) -> None:
        for call in calls:
            self.office.act(call)
        self._at(self.clock.mine(self.clock.now() + BLOCK_SECONDS))
        self.office.check()

    def _at(self, block: int) -> None:
        """Wait until the mirror has `block`; from then on everybody sees it at least as of that block."""
        self.block = block
        for client in (*self.people.values(), self.anyone):
            client.seen_block = block
        self.anyone.status()

    # ---------------------------------------------------------------- hour zero

    def register(self) -> None:
        """Register who must be known; give all ETH for gas and TestUSD from the faucet."""
        flags = Counter[str]()
        owners = {site.owner for site in cast.SITES}
        flags.update(dict.fromkeys(owners, cast.FLAG_SITE_OWNER))
        flags.update(dict.fromkeys(cast.investors() | owners, cast.FLAG_INVESTOR))
        flags.update(dict.fromkeys(cast.ATTESTERS, cast.FLAG_ATTESTER))
        valid_until = self.clock.now() + 365 * DAY
        identities = [(valid_until, 0, flags[name], party) for party, name in enumerate(sorted(flags), 1)]
        members = [self.people[name].address for name in sorted(flags)]
        token = self.deployment["TestUSD"]
        for client in self.people.values():
            self.office.drip(client.address)
        self._official(
            Call("IdentityRegistry", self.deployment["IdentityRegistry"], "registerMany", (members, identities)),
            *(
                Call(TOKEN_ABI, token, "mint", (client.address, OWNERS_MONEY if name in owners else POCKET_MONEY))
                for name, client in self.people.items()
            ),
        )

    def found(self, number: int, site: cast.SitePlan) -> None:
        """Register a site, list its GPUs, post its bond, issue its shares and deliver those that were sold."""
        owner, gpus = self.people[site.owner], self.fleet.sites[number - 1]
        (made,) = self._together(
            [(site.owner, partial(owner.register_site, sum(gpus.values()), site.region, site.name))]
        )
        if made["resource"]["id"] != number:
            raise RuntimeError(f"{site.name} is site {made['resource']['id']}: the story needs a chain without any")
        offers = [self._terms(number, model, count) for model, count in sorted(gpus.items())]
        bond = sum(terms.gpus * terms.bond_per_gpu for terms in offers)
        symbol = "".join(word[0] for word in site.name.split())
        acts: list[Act] = [(site.owner, partial(owner.list_capacity, number, terms)) for terms in offers]
        acts.append((site.owner, partial(owner.post_bond, number, bond)))
        issue = partial(owner.issue_shares, number, cast.REVENUE_BPS, cast.SUPPLY, f"{site.name} capacity", symbol)
        self._together([*acts, (site.owner, issue)])
        sold = [(self.people[name].address, cast.SUPPLY * part // 1000) for name, part in site.investors.items()]
        self._together([(site.owner, partial(owner.transfer_shares, number, to, amount)) for to, amount in sold])

    def _terms(self, site_id: int, model: str, gpus: int) -> Terms:
        now = self.clock.now()
        return Terms(
            window_from=now,
            window_until=now + 60 * DAY,
            floor_price=MODELS[model].floor_price,
            ceiling_price=MODELS[model].ceiling_price,
            gpus=gpus,
            min_term=6 * HOUR,
            max_term=30 * DAY,
            notice=2 * HOUR,
            sla_bps=9_900,
            penalty_bps=15_000,
            curtailable_bps=1_000 if site_id == cast.CURTAILED_SITE else 0,
            watts_per_gpu=MODELS[model].tdp_watts,
            pue_bps=cast.SITES[site_id - 1].pue_bps,
            reclaim_window=DAY,
            compensation_bps=2_000,
            bond_per_gpu=MODELS[model].ceiling_price * 24,
            model=model,
        )

    # ---------------------------------------------------------------- each hour

    def _acts(self, hour: int) -> tuple[list[Act], str]:
        """Return who does what in this hour, and a line that says so."""
        if hour == cast.BLOCKED_AT:
            blocked = self.people[cast.BLOCKED].address
            self._official(Call(TOKEN_ABI, self.deployment["TestUSD"], "blacklist", (blocked,)))
        rows = self.anyone.leases()
        parts = (
            (self._tenants(hour, rows), "tenants act"),
            (self._closings(hour), "notice is given"),
            (self._payers(hour), "revenue from outside"),
            (self._settlements(hour, rows), "leases settle"),
            (self._collections(rows), "tenants collect"),
            (self._claims(hour), "share holders claim"),
            (self._credits(hour), "owners draw their credit"),
            (self._reports(hour, rows), "meters report"),
        )
        said = [text for acts, text in parts if acts]
        if hour == cast.BLOCKED_AT:
            said.insert(0, f"{cast.BLOCKED} is blocklisted")
        return [act for acts, _ in parts for act in acts], ", ".join(said) or "nothing to do"

    def _tenants(self, hour: int, rows: list[Row]) -> list[Act]:
        """Open leases; a stranger tops one up; another is sold on."""
        acts: list[Act] = [(plan.tenant, partial(self._open, plan)) for plan in cast.LEASES if plan.opened_at == hour]
        at, number, payer, hours = cast.GIFT
        if hour == at:
            lease = next(row for row in rows if row["lease_id"] == self.leases[number])
            amount = lease["price"] * lease["gpus"] * hours
            acts.append((payer, partial(self.people[payer].fund, lease["lease_id"], amount)))
        at, number, buyer = cast.SALE
        if hour == at:
            seller = cast.LEASES[number - 1].tenant
            transfer = self.people[seller].transfer_lease
            acts.append((seller, partial(transfer, self.leases[number], self.people[buyer].address)))
        return acts

    def _open(self, plan: cast.LeasePlan) -> Sent:
        """Search the market as the tenant and open the lease."""
        tenant = self.people[plan.tenant]
        found = tenant.listings(site_id=plan.site, available_gpus_gte=plan.gpus, sort="price")
        if not found:
            raise RuntimeError(f"site {plan.site} has no listing with {plan.gpus} GPUs free: give it a larger fleet")
        wanted = {model: rank for rank, model in enumerate(plan.models)}
        listing = min(found, key=lambda row: wanted.get(row["terms"]["model"], len(wanted)))
        term = plan.term * HOUR
        price = tenant.quote(listing["listing_id"], plan.gpus, term)["price"]
        return tenant.open_lease(
            listing["listing_id"], plan.gpus, term, deposit=price * plan.gpus * plan.paid_hours, max_price=price
        )

    def _measure_new_leases(self, hour: int) -> None:
        """Tell the meters which pods are the GPUs of leases just opened."""
        opened = [number for number, plan in enumerate(cast.LEASES, 1) if plan.opened_at == hour]
        for number in opened:
            plan = cast.LEASES[number - 1]
            (row,) = self.anyone.leases(opened_by=self.people[plan.tenant].address)
            pods = self.fleet.gappy if plan.gappy else self.fleet.steady
            shift = 0 if plan.gappy else sum(other.gpus for other in cast.LEASES[: number - 1] if not other.gappy)
            dealt = [pods[(shift + gpu) % len(pods)] for gpu in range(plan.gpus)]
            model = self.anyone.listing(row["listing_id"])["terms"]["model"]
            self.meters.plug_in(row["lease_id"], dealt, MODELS[model].tdp_watts)
            self.leases[number] = row["lease_id"]

    def _closings(self, hour: int) -> list[Act]:
        """Let holders give notice; who bought a lease is its holder now."""
        acts: list[Act] = []
        for number, plan in enumerate(cast.LEASES, 1):
            if plan.closed_at == hour:
                holder = cast.SALE[2] if number == cast.SALE[1] else plan.tenant
                acts.append((holder, partial(self.people[holder].close, self.leases[number])))
        return acts

    def _payers(self, hour: int) -> list[Act]:
        """Pay for mining in idle hours, and for the hours switched off for the grid."""
        return [
            (payer, partial(self.people[payer].distribute, site_id, amount, source, at))
            for source, (at, site_id, payer, amount) in (
                ("mining", cast.MINING),
                ("demand_response", cast.DEMAND_RESPONSE),
            )
            if at == hour
        ]

    def _settlements(self, hour: int, rows: list[Row]) -> list[Act]:
        """Settle the running leases once a day, an ended one when all its hours are final; free its GPUs."""
        now = self.clock.now()
        acts: list[Act] = []
        for site_id, site in enumerate(cast.SITES, 1):
            owner = self.people[site.owner]
            ours = [row for row in rows if row["site_id"] == site_id and not row["finalised"]]
            final = [row for row in ours if row["state"] == "ended" and unix(row["end"]) + FINAL_SECONDS <= now]
            due = ours if hour in cast.SETTLE_HOURS else final
            if due:
                acts.append((site.owner, partial(owner.settle_many, [row["lease_id"] for row in due])))
            acts += [
                (site.owner, partial(owner.release, row["lease_id"]))
                for row in ours
                if row["state"] == "ended" and not row["released"]
            ]
        return acts

    def _collections(self, rows: list[Row]) -> list[Act]:
        """Pay the holders of leases that are over."""
        return [
            (self.names[row["holder"]], partial(self.people[self.names[row["holder"]]].collect, row["lease_id"]))
            for row in rows
            if row["finalised"] and row["holder"] and row["collectable"]
        ]

    def _claims(self, hour: int) -> list[Act]:
        """Claim what shares have earned; the blocklisted holder tries too, is refused, and stops nobody else."""
        acts: list[Act] = []
        if hour not in cast.CLAIM_HOURS:
            return acts
        for site_id in range(1, len(cast.SITES) + 1):
            for row in self.anyone.holders(site_id):
                name = self.names[row["account"]]
                if not row["claimable"]:
                    continue
                if name == cast.BLOCKED and hour >= cast.BLOCKED_AT:
                    self._try_to_claim(hour, site_id, name)
                else:
                    acts.append((name, partial(self.people[name].claim, site_id)))
        return acts

    def _try_to_claim(self, hour: int, site_id: int, name: str) -> None:
        try:
            self.people[name].claim(site_id)
        except (WouldRevert, CannotProceed) as error:
            self.refused.append({"hour": hour, "account": name, "site_id": site_id, "why": str(error)})
        else:
            raise RuntimeError(f"{name} is blocklisted, yet the API planned a claim")

    def _credits(self, hour: int) -> list[Act]:
        """Draw the site owners' part of the rent."""
        if hour not in cast.CREDIT_HOURS:
            return []
        owners = [self.people[site.owner] for site in cast.SITES]
        drawn = [owner for owner in owners if any(row["amount"] for row in owner.portfolio()["credits"])]
        return [(self.names[owner.address], owner.withdraw_credit) for owner in drawn]

    def _reports(self, hour: int, rows: list[Row]) -> list[Act]:
        """Report the hour over of each site, signed by two of the three attesters in turn."""
        now = self.start + hour * HOUR
        acts: list[Act] = []
        for site_id in range(1, len(cast.SITES) + 1):
            measured = self.meters.report(site_id, [row for row in rows if row["site_id"] == site_id], now)
            if measured is None:
                continue
            report, _ = measured
            chosen = [cast.ATTESTERS[(hour + turn) % len(cast.ATTESTERS)] for turn in range(cast.QUORUM)]
            keys = [cast.account(self.seed, name) for name in chosen]
            signatures = sign(report, self.deployment.chain_id, self.deployment["UsageMeter"], keys)
            submitter = cast.ATTESTERS[(site_id - 1) % len(cast.ATTESTERS)]
            acts.append((submitter, partial(self.people[submitter].report_usage, report, signatures)))
        return acts


def _in_turn(acts: list[Callable[[], Sent]]) -> list[Sent]:
    return [act() for act in acts]


def _curtailed_in(story: Story) -> Callable[[int, int], bool]:
    """Say in which epochs a site's GPUs are off for the grid."""

    def curtailed(site_id: int, epoch: int) -> bool:
        return site_id == cast.CURTAILED_SITE and epoch - story.start // HOUR in cast.CURTAILED_HOURS

    return curtailed

"""Settlement under random use, beside a slow plain model written from the design's words and nothing else.

The model keeps every report and every void as they came, and computes each answer from the whole list: no checkpoints,
no running totals. Each step is checked: what an entry is skipped for, what a settlement moves, what the holder has.
"""

import random
from dataclasses import dataclass, field

import pytest
from kit import DAY, HOUR, USD, event, events, now, refused, to
from market import FEE_BPS, GRACE, SKIPS, WINDOW, entry

STEPS = 150
REVENUE_BPS = 6_000
LEASES = 4
RING = 8


@dataclass
class Posted:
    """One report of one lease that counts."""

    first: int
    last: int
    at: int
    available: int
    due: int
    curtailed: int


@dataclass
class Model:
    """A lease as the design describes it. Times are unix seconds, epochs unix hours."""

    gpus: int
    price: int
    start: int
    term_end: int
    deposited: int
    lock: int
    sla: int = 9_900
    multiple: int = 15_000
    curtailable: int = 1_000
    closing: int | None = None
    compensation: int = 0
    penalty: int = 0
    collected: int = 0
    posted: list = field(default_factory=list)
    kept: int = 0  # of the last reports, how many the meter still has: voids take from them, reports add, up to eight
    round: int = 0
    voids: list = field(default_factory=list)
    times_voided: dict = field(default_factory=dict)
    settled_until: int = 0
    paid: int = 0  # rent settled so far
    final: bool = False

    def end(self):
        funded = self.start + self.deposited * 3600 // (self.gpus * self.price)
        return min(self.term_end, funded, self.closing or self.term_end)

    def reported_to(self):
        return self._reported() or self.start // HOUR

    def _reported(self):
        """The boundary up to which reports count; a void goes back to where its report began: gaps stay given up."""
        return max(self.posted[-1].last if self.posted else 0, self.voids[-1][1] if self.voids else 0)

    def open_from(self, t):
        """The boundary below which nothing can be reported any more."""
        furthest = max((last for _, _, last in self.voids), default=0)
        if self.voids and self._reported() < furthest and t < self.voids[-1][0] + GRACE:
            return self._reported()
        return max(self._reported(), (t - GRACE) // HOUR)

    def past_void(self, first, last, t):
        """Whether the span takes in hours that had lapsed unreported: a void opens only what it took back."""
        boundary = (t - GRACE) // HOUR
        furthest = max((reached for _, _, reached in self.voids), default=0)
        return first < boundary and min(last, boundary) > furthest

    def seconds(self, first, last):
        return max(0, min(last * HOUR, self.end()) - max(first * HOUR, self.start))

    def reason(self, first, last, round_, available, busy, curtailed, t):
        """Why an entry is skipped, in the contract's order; "None" if it counts."""
        gpu_seconds = self.gpus * self.seconds(first, last)
        allowed = self.gpus * (self.term_end - self.start) * self.curtailable // 10_000
        rules = (
            ("WrongRound", round_ != self.round),
            ("EmptySpan", last <= first),
            ("NotOver", last * HOUR > t),
            ("OutsideLease", first * HOUR + HOUR <= self.start or last * HOUR - HOUR >= self.end()),
            ("Overlap", first < self._reported()),
            ("Lapsed", first < self.open_from(t) or self.past_void(first, last, t)),
            ("AboveCapacity", available + curtailed > gpu_seconds),
            ("BusyAboveAvailable", busy > available),
            ("CurtailedAboveShare", sum(p.curtailed for p in self.posted) + curtailed > allowed),
            ("RingFull", self.ring_full(t)),
        )
        return next((name for name, broken in rules if broken), "None")

    def ring_full(self, t):
        """Eight reports are kept; the one that the next would leave as the oldest must be final by then."""
        return self.kept == RING and self.posted[-RING + 1].at + WINDOW > t

    def report(self, first, last, available, curtailed, t):
        due = self.gpus * self.seconds(first, last) - curtailed
        self.posted.append(Posted(first, last, t, available, due, curtailed))
        self.kept = min(RING, self.kept + 1)

    def void_refusal(self, first, t):
        kept = self.posted[len(self.posted) - self.kept :]
        taken = [p for p in kept if p.first >= first]
        for posted in reversed(taken):
            if posted.at + WINDOW <= t:
                return "UsageMeter_ReportFinal"
            if any(self.times_voided.get(e, 0) == 2 for e in range(posted.first + 1, posted.last + 1)):
                return "UsageMeter_VoidedTwice"
        if not taken or taken[0].first != first:
            return "UsageMeter_NoSuchReport"
        return None

    def void(self, first, t):
        reached = self._reported()
        while self.posted and self.posted[-1].first >= first:
            gone = self.posted.pop()
            self.kept -= 1
            for epoch in range(gone.first + 1, gone.last + 1):
                self.times_voided[epoch] = self.times_voided.get(epoch, 0) + 1
        self.voids.append((t, first, reached))
        self.round += 1

    def settled(self, t):
        """Time settled, and GPU-seconds available and due, of what is final."""
        finals = [p for p in self.posted if p.at + WINDOW <= t]
        waiting = [p for p in self.posted if p.at + WINDOW > t]
        until = (waiting[0].first if waiting else self.open_from(t)) * HOUR
        return until, sum(p.available for p in finals), sum(p.due for p in finals)

    def parts(self, rent):
        fee = rent * FEE_BPS // 10_000
        shares = (rent - fee) * REVENUE_BPS // 10_000
        return fee, shares, rent - fee - shares

    def settle(self, t):
        """What a settlement moves: fee, shares, owner's part; None if it is refused. The last one judges the SLA."""
        until, available, due = self.settled(t)
        end = self.end()
        over = t >= end or end == self.start
        last = over and (until >= end or end == self.start)
        until = min(until, end)
        before = max(self.settled_until, self.start)
        if self.final or (until <= before and not last):
            return None
        rent = self.price * available // 3600
        moved = tuple(a - b for a, b in zip(self.parts(rent), self.parts(self.paid), strict=True))
        self.paid, self.settled_until = rent, max(until, before)
        if last:
            short = max(0, self.sla * due - 10_000 * available)
            self.penalty = min(self.lock - self.compensation, self.price * short * self.multiple // (3600 * 10**8))
            self.final = True
        return moved

    def collectable(self):
        has = self.deposited + self.penalty + self.compensation - self.paid - self.collected
        if not self.final:
            unsettled = max(0, self.end() - max(self.settled_until, self.start))
            has -= -(-self.price * self.gpus * unsettled // 3600)
        return max(0, has)


@dataclass
class Play:
    """The same random actions on the chain and on the model."""

    market: object
    site: int
    rng: random.Random
    leases: dict
    done: dict = field(default_factory=dict)

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def step(self):
        actions = (
            (self.report, 10),
            (self.wait, 5),
            (self.settle, 5),
            (self.void, 3),
            (self.sell, 1),
            (self.collect, 2),
            (self.fund, 1),
            (self.close, 0.2),
            (self.reclaim, 0.2),
        )
        action = self.rng.choices([a for a, _ in actions], [weight for _, weight in actions])[0]
        lease = self.rng.choice(list(self.leases))
        action(lease, self.leases[lease])
        for number, model in self.leases.items():
            assert self.market.book.collectable(number) == model.collectable(), (action.__name__, number)

    def wait(self, _lease, _model):
        to(now() + self.rng.choices([600, HOUR, 2 * HOUR, 7 * HOUR, 26 * HOUR], [4, 6, 4, 2, 1])[0])
        self.count("waits")

    def report(self, lease, model):
        rng, t = self.rng, now()
        first = max(model.reported_to(), model.open_from(t)) + rng.choice([0, 0, 0, 0, 1])
        last = min(first + rng.choice([1, 1, 1, 2, 5]), max(t // HOUR, first + 1))
        room = model.gpus * model.seconds(first, last)
        curtailed = rng.choice([0, 0, 0, room // 50])
        available = rng.choice([room - curtailed, room * 95 // 100, rng.randint(0, room - curtailed), 0])
        busy, round_ = rng.randint(0, available), model.round
        wrong = rng.randrange(24)
        first -= wrong == 1
        last = first - 1 if wrong == 2 else last
        available += room if wrong == 3 else 0
        busy += available + 1 if wrong == 4 else 0
        curtailed += room - available if wrong == 5 and room > available else 0
        round_ += wrong == 6
        expected = model.reason(first, last, round_, available, busy, curtailed, t)
        row = entry(lease, first, last, available, busy=busy, curtailed=curtailed, round_=round_)
        tx = self.market.report(self.site, row)
        found = [SKIPS[e.reason] for e in events(tx, "EntrySkipped")] or ["None"]
        assert found == [expected]
        if expected == "None":
            model.report(first, last, available, curtailed, t)
            self.count("reports")
        else:
            self.count("skips")
        reported = self.market.meter.totals(lease)
        assert reported["available"] == sum(p.available for p in model.posted)
        assert reported["due"] == sum(p.due for p in model.posted)

    def settle(self, lease, model):
        expected = model.settle(now())
        if expected is None:
            found = refused(self.market.book.settle, lease, by=self.market.people.stranger)
            assert found[0] == "LeaseBook_NothingToSettle"
            return
        told = self.market.settle(lease)
        assert (told.fee, told.shares, told.ownerPart) == expected
        assert (told.rentTotal, told.settledUntil) == (model.paid, model.settled_until)
        assert self.market.book.leaseOf(lease)["penalty"] == model.penalty
        assert (self.market.state(lease) == "Final") == model.final
        self.count("settlements")
        if model.final:
            self.count("final")

    def void(self, lease, model):
        if not model.posted:
            return
        first = self.rng.choice(model.posted[-3:]).first + self.rng.choice([0, 0, 0, 1])
        error = model.void_refusal(first, now())
        if error:
            assert refused(self.market.meter.void, lease, first, by=self.market.people.challenger)[0] == error
            return
        self.market.meter.void(lease, first, {"from": self.market.people.challenger})
        model.void(first, now())
        self.count("voids")

    def holder(self, lease):
        return self.market.book.ownerOf(lease)

    def sell(self, lease, model):
        if model.final and model.collectable() == 0:
            return
        people = self.market.people
        holder = self.holder(lease)
        other = people.buyer if holder == people.tenant else people.tenant
        self.market.book.transferFrom(holder, other, lease, {"from": holder})
        self.count("sales")

    def collect(self, lease, model):
        amount = model.collectable()
        if amount == 0:
            return
        holder = self.holder(lease)
        told = event(self.market.book.collect(lease, holder, {"from": holder}), "LeaseCollected")
        assert told.amount == amount
        model.collected += amount
        self.count("collections")

    def fund(self, lease, model):
        room = -(-model.price * model.gpus * (model.term_end - model.start) // 3600) - model.deposited
        if now() >= model.end() or model.closing or room == 0:
            return
        amount = self.rng.randint(1, room)
        self.market.book.fund(lease, amount, {"from": self.market.people.tenant})
        model.deposited += amount
        self.count("fundings")

    def close(self, lease, model):
        t = now()
        at = max(t + HOUR, model.start + HOUR)
        if model.closing or at >= model.end():
            return
        self.market.book.close(lease, 1, {"from": self.holder(lease)})
        model.closing = at
        self.count("closings")

    def reclaim(self, lease, model):
        at = max(now() + 2 * HOUR, model.start)
        if model.closing or at >= model.end():
            return
        model.compensation = min(model.lock, model.price * model.gpus * (model.end() - at) * 2_000 // (3600 * 10_000))
        self.market.book.reclaim(lease, 10_000, {"from": self.market.people.owner})
        model.closing = at
        self.count("reclaims")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_use_moves_what_the_model_says(market, seed):
    rng = random.Random(seed)
    site = market.site(gpus=64, revenue_bps=REVENUE_BPS)
    leases = {}
    for _ in range(LEASES):
        to(now() + rng.randint(1, 3000))
        price = rng.randint(1_000_001, 4_999_999)
        gpus = rng.randint(1, 8)
        listing = market.listing(site, gpus=16, floor=price, ceiling=price, bond_per_gpu=20 * USD)
        deposit = rng.randint(price * gpus * 48, price * gpus * 240)
        lease = market.open(listing, gpus=gpus, term=10 * DAY, deposit=deposit)
        leases[lease] = Model(gpus, price, now(), now() + 10 * DAY, deposit, gpus * 20 * USD)
    play = Play(market, site, rng, leases)
    for _ in range(STEPS):
        play.step()
    to(max(now(), *(m.end() for m in leases.values())) + 3 * DAY)
    for lease, model in leases.items():
        if not model.final:
            play.settle(lease, model)
        assert model.final
        play.collect(lease, model)
        assert model.deposited + model.penalty + model.compensation == model.paid + model.collected
    market.owes_what_it_has()
    for what in ("reports", "skips", "settlements", "voids", "sales", "collections", "final"):
        assert play.done.get(what, 0) >= 3, f"a run that tells little: {play.done}"

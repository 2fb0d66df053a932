"""Gas of whole transactions, with cold storage, against the budgets; OpenZeppelin's ERC-20 in the same run.

    make gas

More than a tenth over a budget fails; what is less over names the storage slots that cost it.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from drakewell.reports import Entry
from scripts.launch import anvil
from tests.chain import DAY, HOUR, SHARE, USD, Market, deploy

LEASES = 100
GPUS = 8
TOLERANCE = 1.1
SHARE_HOLDERS = ("investor", "investor2")
# What the slots hold, by contract and slot number; a mapping's or struct's slots go by its own.
LAYOUT = {
    "CapacityShare": {0: "balances", 1: "allowances", 2: "supply", 8: "stream", 9: "stream", 10: "accounts"},
    "IdentityRegistry": {1: "identities"},
    "TestUSD": {2: "paused", 6: "allowances", 8: "accounts"},
    "LeaseBook": {
        2: "token owners",
        3: "token balances",
        6: "fee, pause, counts",
        7: "counts",
        8: "sites",
        10: "listings",
        11: "terms",
        12: "leases",
        13: "tokens",
        14: "credits",
    },
    "UsageMeter": {3: "report count", 4: "roots", 5: "meters", 6: "rings"},
}
COLD = 2_100


@dataclass
class Row:
    """One operation: gas of the whole transaction (of a report, its part for one lease) and what it may take."""

    name: str
    gas: int
    budget: int | None
    against: str
    slots: list[str]

    @property
    def over(self) -> float:
        return self.gas / self.budget if self.budget else 0.0


def main() -> None:
    """Measure, print the table, and fail if a budget is overrun by more than a tenth."""
    with anvil(extra=["--steps-tracing"]) as node:
        rows = measure(deploy(node))
    print(f"{'operation':44} {'gas':>9} {'budget':>9}  {'of it':>6}  held against")
    for row in rows:
        budget = f"{row.budget:9,}" if row.budget else f"{'':9}"
        share = f"{row.over:6.1%}" if row.budget else f"{'':6}"
        print(f"{row.name:44} {row.gas:9,} {budget}  {share}  {row.against}")
    for row in rows:
        if row.over > 1:
            print(f"\n{row.name}: {row.gas - (row.budget or 0):,} over; its storage:")
            print("\n".join(f"  {slot}" for slot in row.slots))
    if failed := [row.name for row in rows if row.over > TOLERANCE]:
        sys.exit(f"more than {TOLERANCE - 1:.0%} over budget: {', '.join(failed)}")


def measure(market: Market) -> list[Row]:
    """Run the story of one site once and return what each operation took."""
    rows = [plain_transfer(market)]

    def row(name: str, receipt: dict[str, Any], budget: int, against: str) -> None:
        rows.append(Row(name, int(receipt["gasUsed"], 16), budget, against, slots(market, receipt["transactionHash"])))

    market.mine(market.now // DAY * DAY + DAY)
    site = market.register_site(gpus=LEASES * GPUS)
    market.post_bond(site, 1_000_000 * USD)
    share = market.issue(site)
    listing = market.list(site, gpus=LEASES * GPUS, bondPerGpu=10 * USD)
    share_rows(market, site, share, row)

    tenants = [f"0x{keccak(text=f'tenant {n}')[:20].hex()}" for n in range(LEASES)]
    leases = []
    for number, tenant in enumerate(tenants):
        market.rpc("anvil_setBalance", tenant, hex(10**20))
        market.mint(tenant, 10_000 * USD)
        market.approve(tenant, amount=10**12)
        params = market.open_params(listing, GPUS, 2 * DAY, holder=tenant)
        receipt = market.send(tenant, "LeaseBook", "open", params)
        if number == 1:
            row("open a lease with escrow", receipt, 190_000, "Sablier Flow 127,027 + deposit 37,028")
        leases.append(number + 1)

    report_rows(market, site, leases, rows)
    market.settle(2)  # the owner has had credits before
    row("settle a lease period, the first", market.settle(1), 110_000, "Sablier Flow withdraw 47,757-69,289")
    market.warp(HOUR)
    row("settle a lease period", market.settle(1), 110_000, "Sablier Flow withdraw 47,757-69,289")
    return rows


def plain_transfer(market: Market) -> Row:
    """Return OpenZeppelin's ERC-20 transfer between two holders."""
    token = market.create("PlainToken")
    sender, to = market.address("deployer"), market.address("stranger")
    data = "0xa9059cbb" + to[2:].lower().rjust(64, "0") + f"{SHARE:064x}"
    for _ in range(2):
        tx_hash = market.rpc("eth_sendTransaction", {"from": sender, "to": token, "data": data})
    receipt = market.receipt(tx_hash)
    return Row("OpenZeppelin's ERC-20 transfer", int(receipt["gasUsed"], 16), None, "the reference", [])


def share_rows(market: Market, site: int, share: str, row: Any) -> None:
    """Measure the share between holders who have held and claimed before, while a stream runs."""
    first, second = SHARE_HOLDERS
    for holder in SHARE_HOLDERS:
        market.mint(holder, USD)
        market.transfer(site, holder, 1_000 * SHARE)
    market.distribute(site, 1_000 * USD)
    market.warp(HOUR)
    args = (10 * USD, 1, 7)
    receipt = market.send("owner", "CapacityShare", "distribute", *args, to=share)
    row("revenue in, any number of holders", receipt, 60_000, "0xSplits 984,937 for 100 holders")
    market.warp(HOUR)
    market.transfer(site, second, SHARE, holder=first)
    market.warp(HOUR)
    receipt = market.send(first, "CapacityShare", "transfer", market.address(second), SHARE, to=share)
    row("share transfer, settling both sides", receipt, 60_000, "OZ ERC-20; Centrifuge 81,017; T-REX 145,956")
    market.warp(HOUR)
    row("claim", market.claim(site, holder=first), 60_000, "Sablier 32,194-69,289; Splits warehouse 65,997")


def report_rows(market: Market, site: int, leases: list[int], rows: list[Row]) -> None:
    """Measure hourly reports of all leases: the first eight fill their rings, the later ones overwrite."""
    first = market.now // HOUR + 1
    part = []
    for epoch in range(first, first + 11):
        market.mine((epoch + 1) * HOUR)
        entries = [Entry(lease, epoch, epoch + 1, 0, 28_000, 27_123, 123, 5_511) for lease in leases]
        call = market.report_call(site, entries, root=keccak(text=f"samples {epoch}"))
        receipt = market.send("stranger", *call, gas=20_000_000)
        if len(receipt["logs"]) != 1 + LEASES or receipt["logs"][-1]["topics"][0] != receipt["logs"][1]["topics"][0]:
            sys.exit("some entries of a report were skipped: nothing was measured")
        part.append(int(receipt["gasUsed"], 16) // LEASES)
    market.mine((epoch + 2) * HOUR)
    call = market.report_call(site, [Entry(leases[0], epoch + 1, epoch + 2, 0, 28_000, 27_123, 123, 5_511)])
    touched = slots(market, market.send("stranger", *call)["transactionHash"])
    rows.append(Row(f"meter report, a lease of {LEASES}, first lap", sum(part[:8]) // 8, 48_000, "-", touched))
    rows.append(Row(f"meter report, a lease of {LEASES}, later", max(part[8:]), 32_000, "-", touched))


def slots(market: Market, tx_hash: str) -> list[str]:
    """Return what each cold storage slot of a transaction cost, dearest first, named as `LAYOUT` does."""
    steps = market.rpc("debug_traceTransaction", tx_hash, {"enableMemory": True, "disableStorage": True})["structLogs"]
    names = {int(address, 16): name for name, address in market.addresses.items()}
    names |= {int(actor.address, 16): name for name, actor in market.actors.items()}
    frames = {1: int(market.rpc("eth_getTransactionByHash", tx_hash)["to"], 16)}
    hashed: dict[int, tuple[int, int]] = {}
    costs: Counter[tuple[str, str]] = Counter()
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        op, stack, depth = step["op"], step["stack"], step["depth"]
        if op in ("CALL", "STATICCALL"):
            frames[depth + 1] = int(stack[-2], 16)
        elif op == "DELEGATECALL":
            frames[depth + 1] = frames[depth]
        elif op == "KECCAK256" and int(stack[-2], 16) == 64 and after:
            memory = "".join(word.removeprefix("0x").rjust(64, "0") for word in step["memory"])
            at = int(stack[-1], 16) * 2
            key, base = (int(memory[start : start + 64], 16) for start in (at, at + 64))
            hashed[int(after["stack"][-1], 16)] = (key, base)
        elif op in ("SLOAD", "SSTORE"):
            contract = names.get(frames[depth], "CapacityShare")
            costs[contract, label(contract, int(stack[-1], 16), hashed, names)] += step["gasCost"]
    return [f"{gas:6,}  {name}: {slot}" for (name, slot), gas in costs.most_common() if gas >= COLD]


def label(contract: str, slot: int, hashed: dict[int, tuple[int, int]], names: dict[int, str]) -> str:
    """Return what a slot holds, such as `credits[TestUSD][owner]`; a struct's slots lie just behind its hash."""
    keys, offset = "", 0
    while near := next((slot - step for step in range(9) if slot - step in hashed), None):
        offset = offset or slot - near
        key, slot = hashed[near]
        keys = f"[{names.get(key, f'{key:#x}'[:10] if key >> 32 else key)}]{keys}"
    name = LAYOUT.get(contract, {}).get(slot, f"slot {slot}")
    return f"{name}{keys}" + (f" + {offset}" if offset else "")


if __name__ == "__main__":
    main()

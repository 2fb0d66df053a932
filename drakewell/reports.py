"""Meter reports: samples, their Merkle tree, the EIP-712 report that attesters sign.

Amounts are GPU-seconds and watt-hours, epochs are unix hours: `epoch` (and `to_epoch`) is the boundary at which an hour
ends. A tree is OpenZeppelin's: leaves hashed twice, pairs hashed in sorted order, so that `MerkleProof.verify` and
`UsageMeter.verifySample` accept its proofs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

NO_SAMPLES = bytes(32)

_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Report": [
        {"name": "siteId", "type": "uint256"},
        {"name": "samplesRoot", "type": "bytes32"},
        {"name": "entries", "type": "Entry[]"},
    ],
    "Entry": [
        {"name": "leaseId", "type": "uint256"},
        {"name": "fromEpoch", "type": "uint32"},
        {"name": "toEpoch", "type": "uint32"},
        {"name": "round", "type": "uint32"},
        {"name": "available", "type": "uint64"},
        {"name": "busy", "type": "uint64"},
        {"name": "curtailed", "type": "uint64"},
        {"name": "wattHours", "type": "uint64"},
    ],
}


@dataclass(frozen=True)
class Sample:
    """One GPU's hour: GPU-seconds that met the listing, of them in use, switched off for the grid, and Wh drawn."""

    lease_id: int
    epoch: int
    gpu: int
    available: int
    busy: int
    curtailed: int
    watt_hours: int

    def leaf(self) -> bytes:
        """Return `keccak256(bytes.concat(keccak256(abi.encode(sample))))`: every field is one 32-byte word."""
        return keccak(keccak(b"".join(word.to_bytes(32, "big") for word in astuple(self))))


@dataclass(frozen=True)
class Entry:
    """What a report adds to one lease over the hours `(from_epoch, to_epoch]`."""

    lease_id: int
    from_epoch: int
    to_epoch: int
    round: int
    available: int
    busy: int
    curtailed: int
    watt_hours: int

    def as_args(self) -> tuple[int, ...]:
        """Return the entry in the order of the contract's struct."""
        return astuple(self)


@dataclass(frozen=True)
class Report:
    """A batch of a site; `samples_root` is 32 zero bytes where no samples are published."""

    site_id: int
    samples_root: bytes
    entries: tuple[Entry, ...]

    def as_args(self) -> tuple[int, bytes, list[tuple[int, ...]]]:
        """Return the report in the order of the contract's struct."""
        return self.site_id, self.samples_root, [entry.as_args() for entry in self.entries]

    def typed_data(self, chain_id: int, meter: str) -> dict[str, Any]:
        """Return the EIP-712 message for the `UsageMeter` at `meter`."""
        names = [field["name"] for field in _TYPES["Entry"]]
        return {
            "types": _TYPES,
            "primaryType": "Report",
            "domain": {
                "name": "Drakewell UsageMeter",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": meter,
            },
            "message": {
                "siteId": self.site_id,
                "samplesRoot": self.samples_root,
                "entries": [dict(zip(names, entry.as_args(), strict=True)) for entry in self.entries],
            },
        }

    def digest(self, chain_id: int, meter: str) -> bytes:
        """Return what attesters sign; equal to the contract's `digestOf`."""
        signable = encode_typed_data(full_message=self.typed_data(chain_id, meter))
        return keccak(b"\x19" + signable.version + signable.header + signable.body)


def entry_of(samples: Sequence[Sample], from_epoch: int, to_epoch: int, round_: int = 0) -> Entry:
    """Sum the samples of one lease into its entry.

    Raises:
        ValueError: the samples are of no lease, of several, or of an hour outside `(from_epoch, to_epoch]`.
    """
    leases = {sample.lease_id for sample in samples}
    if len(leases) != 1:
        raise ValueError(f"an entry is of one lease, these samples are of {sorted(leases)}")
    outside = [sample.epoch for sample in samples if not from_epoch < sample.epoch <= to_epoch]
    if outside:
        raise ValueError(f"samples of the hours {sorted(set(outside))} are not in ({from_epoch}, {to_epoch}]")
    return Entry(
        lease_id=leases.pop(),
        from_epoch=from_epoch,
        to_epoch=to_epoch,
        round=round_,
        available=sum(sample.available for sample in samples),
        busy=sum(sample.busy for sample in samples),
        curtailed=sum(sample.curtailed for sample in samples),
        watt_hours=sum(sample.watt_hours for sample in samples),
    )


def sign(report: Report, chain_id: int, meter: str, attesters: Iterable[LocalAccount]) -> list[bytes]:
    """Sign by every attester; signatures come in the ascending order of signers that the meter demands."""
    digest = report.digest(chain_id, meter)
    ordered = sorted(attesters, key=lambda attester: int(attester.address, 16))
    return [bytes(Account.unsafe_sign_hash(digest, attester.key).signature) for attester in ordered]


class SampleTree:
    """The Merkle tree over the samples of one report."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        """Build the tree; the order of `samples` does not matter.

        Raises:
            ValueError: there is no sample, or two are equal.
        """
        leaves = sorted(sample.leaf() for sample in samples)
        if not leaves:
            raise ValueError("a tree needs a sample; a report without any bears NO_SAMPLES as its root")
        if len(set(leaves)) != len(leaves):
            raise ValueError("two samples are equal: each GPU's hour is reported once")
        # levels[0] holds the leaves; an odd one out is lifted to the next level as it is.
        self._levels = [leaves]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append([_parent(below[i : i + 2]) for i in range(0, len(below), 2)])

    @property
    def root(self) -> bytes:
        """Return the root that the report bears."""
        return self._levels[-1][0]

    def proof(self, sample: Sample) -> list[bytes]:
        """Return the siblings from the sample's leaf up to the root.

        Raises:
            ValueError: the sample is not in the tree.
        """
        leaf = sample.leaf()
        if leaf not in self._levels[0]:
            raise ValueError(f"not in this tree: {sample}")
        position = self._levels[0].index(leaf)
        siblings = []
        for level in self._levels[:-1]:
            if position ^ 1 < len(level):
                siblings.append(level[position ^ 1])
            position //= 2
        return siblings


def verify(root: bytes, sample: Sample, proof: Iterable[bytes]) -> bool:
    """Check a proof as the contract does."""
    node = sample.leaf()
    for sibling in proof:
        node = _parent((node, sibling))
    return node == root


def _parent(nodes: Sequence[bytes]) -> bytes:
    return keccak(b"".join(sorted(nodes))) if len(nodes) > 1 else nodes[0]

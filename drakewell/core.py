"""One account at one API: plan, check, sign, submit, track."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from drakewell.codec import Call
from drakewell.deployment import Deployment
from drakewell.errors import NotFound, NotIncluded, PlanMismatch, TransactionFailed
from drakewell.http import Http, exact
from drakewell.plans import Limits, Pull, Walk
from drakewell.terms import unix

_ENDS = {"included": {"included", "safe", "finalized"}, "safe": {"safe", "finalized"}, "finalized": {"finalized"}}
_FAILED = {"reverted", "replaced", "dropped"}
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Sent:
    """What was submitted: the hashes of the approval, if one was needed, and of the call, in order."""

    core: Core
    hashes: tuple[str, ...]

    def wait(self, until: str = "included", timeout: float = 60.0) -> dict[str, Any]:
        """Return the call's transaction once it is `included`, `safe` or `finalized`; `timeout` in seconds.

        Raises:
            TransactionFailed: it reverted, was dropped or replaced.
            NotIncluded: it is not there in time.
        """
        for tx_hash in self.hashes:
            transaction = self.core.wait(tx_hash, until, timeout)
        return transaction


class Core:
    """What reads and writes stand on."""

    def __init__(
        self,
        api: str | Http,
        account: LocalAccount | None,
        deployment: Deployment | str | Path,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Pin the addresses; nothing is asked of the API yet.

        Args:
            api: its base URL, or an `Http` shared by several clients.
            account: signs here, never there; None only reads.
            deployment: the pinned addresses, or the path of their file.
            token: the settlement token that calls may pull, the deployment's TestUSD unless given.
            limits: on what a server may ask.
        """
        self.http = api if isinstance(api, Http) else Http(api)
        self.account = account
        self.deployment = deployment if isinstance(deployment, Deployment) else Deployment.read(deployment)
        self.token = token or self.deployment["TestUSD"]
        self.seen_block: int | None = None
        self._limits = limits or Limits()
        self._shares: dict[int, str] = {}

    @property
    def address(self) -> str:
        """Return the account's address.

        Raises:
            ValueError: this client only reads.
        """
        return str(self._signer().address)

    def wait(self, tx_hash: str, until: str = "included", timeout: float = 60.0) -> dict[str, Any]:
        """Return the transaction once it is `until` or more; see `Sent.wait`."""
        deadline = time.monotonic() + timeout
        while True:
            transaction = self.transaction(tx_hash)
            if transaction["status"] in _ENDS[until]:
                self.seen_block = max(self.seen_block or 0, transaction["block_number"])
                return transaction
            if transaction["status"] in _FAILED:
                raise TransactionFailed(transaction)
            if time.monotonic() > deadline:
                raise NotIncluded(f"{tx_hash} is {transaction['status']} after {timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def transaction(self, tx_hash: str) -> dict[str, Any]:
        """Return a transaction's state, its decoded events and the resource it made.

        A hash that neither the API nor its node knows comes back as `unknown`.
        """
        try:
            found: dict[str, Any] = exact(self.http.get(f"/v1/transactions/{tx_hash}")["data"])
        except NotFound:
            return {"hash": tx_hash, "status": "unknown"}
        return found

    def read(self, path: str, filters: dict[str, Any]) -> dict[str, Any]:
        """Return the API's whole answer as of `seen_block` or later, amounts as they came."""
        if self.seen_block is not None and "as_of_block" not in filters:
            filters = {"min_block": self.seen_block, **filters}
        return self.http.get(path, **filters)

    def _signer(self) -> LocalAccount:
        if self.account is None:
            raise ValueError("this client has no account, it only reads: give it one to write")
        return self.account

    def _write(self, path: str, body: dict[str, Any], call: Call, pull: int | None = None) -> Sent:
        """Plan at `path`, hold the plan against `call`, sign and submit its steps.

        Args:
            path: of the plan.
            body: of the request; the account is added.
            call: what must come back.
            pull: base units of the settlement token that the call's target takes from the account.

        Raises:
            Problem: the API refuses; `WouldRevert` where the contract would.
            CannotProceed: allowance, balance, eligibility or gas must be mended first.
            PlanMismatch: the plan is for something else; nothing was signed.
        """
        answer = self.http.post(path, {"account": self.address, **body})
        plan = answer["data"]
        taken = None if pull is None else Pull(self.token, pull)
        walk = Walk(plan, call, taken, self._signer(), self.deployment.chain_id, self._limits)
        hashes = []
        for step_id, raw in walk.transactions(unix(answer["meta"]["as_of_time"])):
            submission = {"plan": plan, "step_id": step_id, "raw_transaction": "0x" + raw.hex()}
            accepted = self.http.post("/v1/transactions", submission)["data"]
            if accepted["hash"] != "0x" + keccak(raw).hex():
                raise PlanMismatch(f"hash: the API says {accepted['hash']}, sent was 0x{keccak(raw).hex()}")
            hashes.append(accepted["hash"])
        return Sent(self, tuple(hashes))

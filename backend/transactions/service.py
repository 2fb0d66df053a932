"""Check a signed transaction against its plan, keep it, broadcast it, follow it."""

from typing import Any

from backend.chain import abi
from backend.chain.node import Node, NodeError, NodeTimeout
from backend.chain.signed import Signed, decode
from backend.kit.database import Row
from backend.kit.problems import NotFound, PlanExpired, PlanMismatch, RefusedByNode
from backend.kit.types import seconds_of
from backend.services import Held
from backend.transactions import repository
from backend.transactions.schemas import Submission

#: The event that tells of a new resource: its type, the argument with its id, and where it is read.
MADE = {
    "SiteRegistered": ("site", "siteId", "/v1/sites"),
    "ListingSet": ("listing", "listingId", "/v1/listings"),
    "LeaseOpened": ("lease", "leaseId", "/v1/leases"),
    "SharesIssued": ("offering", "siteId", "/v1/shares"),
    "Reported": ("report", "reportId", "/v1/reports"),
}


def submit(held: Held, body: Submission) -> Row:
    """Check, keep and broadcast a signed step; or take note of a transaction that its sender has broadcast.

    Raises:
        PlanInvalid, PlanExpired, PlanMismatch: the plan is not ours, too old, or not of this transaction.
        RefusedByNode: the node does not take it.
        NotFound: the node does not know the hash.
    """
    raw = body.raw_transaction
    signed = _known(held.contracts.node, body.hash) if raw is None else decode(raw)
    if body.plan is not None:
        held.planner.verify(body.plan)
        _check(signed, body.plan, body.step_id)
    with held.mirror.database.write() as session:
        kept = repository.get(session, held.mirror.chain_id, signed.hash)
        # A retry is answered like the first time, however old its plan.
        if kept is None and raw is not None:
            _check_expiry(held, body.plan or {})
        repository.add(
            session,
            held.mirror.chain_id,
            tx_hash=signed.hash,
            plan_id=body.plan["id"] if body.plan else None,
            kind=body.plan["action"] if body.plan else None,
            sender=signed.sender,
            nonce=signed.nonce,
            raw_transaction=None if raw is None else bytes.fromhex(raw[2:]),
            state="submitted" if raw is None else "unknown",
        )
    if raw is not None:
        _broadcast(held, signed.hash, raw)
    return track(held, signed.hash)


def _broadcast(held: Held, tx_hash: str, raw: str) -> None:
    node, state, error = held.contracts.node, "submitted", None
    try:
        node.call("eth_sendRawTransaction", raw)
    except NodeTimeout:
        return  # it may have arrived: the row stays "unknown" and the node is asked at every look
    except NodeError as refusal:
        # "Already known" is success, and so is "nonce too low" for one that is mined already.
        if node.call("eth_getTransactionByHash", tx_hash) is None:
            state, error = "refused", refusal.message
    with held.mirror.database.write() as session:
        repository.mark(session, held.mirror.chain_id, tx_hash, state, error)
    if error is not None:
        raise RefusedByNode(f"The node refuses the transaction: {error}")


def _known(node: Node, tx_hash: str | None) -> Signed:
    """Return a transaction that the node has from its sender."""
    found = node.call("eth_getTransactionByHash", tx_hash)
    if found is None:
        raise NotFound("The node does not know this transaction yet: broadcast it, then post its hash again.")
    return Signed(
        found["hash"],
        found["from"].lower(),
        int(found.get("chainId") or "0x0", 16),
        int(found["nonce"], 16),
        (found.get("to") or "0x").lower(),
        int(found["value"], 16),
        found["input"].lower(),
    )


def _check_expiry(held: Held, plan: dict[str, Any]) -> None:
    now = held.contracts.node.head(fresh=True).time
    if seconds_of(plan["expires_at"]) < now:
        raise PlanExpired("The plan has expired by the chain's clock: ask for a new one.")


def _check(signed: Signed, plan: dict[str, Any], step_id: str | None) -> None:
    """Hold a signed transaction against a step of a genuine plan.

    Raises:
        PlanMismatch: names each field that differs.
    """
    step = next((each for each in plan["steps"] if each["id"] == step_id and each["kind"] == "send"), None)
    if step is None:
        raise PlanMismatch(f"The plan has no step {step_id} that sends a transaction.")
    wanted = step["transaction"]
    differences = [
        {"loc": name, "message": f"the plan has {ours}, signed was {theirs}"}
        for name, ours, theirs in (
            ("sender", plan["account"].lower(), signed.sender),
            ("chain_id", wanted["chain_id"], signed.chain_id),
            ("to", wanted["to"].lower(), signed.to),
            ("value", int(wanted["value"]), signed.value),
        )
        if ours != theirs
    ]
    if signed.data != _data(step, signed.data):
        differences.append({"loc": "data", "message": "the signed call is not the plan's, outside its holes"})
    if differences:
        raise PlanMismatch("The signed transaction is not this step of the plan; see errors.", errors=differences)


def _data(step: dict[str, Any], given: str) -> str:
    """Return the step's call data, its holes filled from the given: so all bytes outside them must be the plan's."""
    if not step["holes"]:
        return str(step["transaction"]["data"])
    function = abi.functions(step["contract"])[step["function"]]
    found = abi.call_args(function, given)
    if found is None:
        return "another function"
    args = dict(step["args"])
    for hole in step["holes"]:
        name, part = hole.split(".")
        args[name] = {**args[name], part: found[name][part]}
    return abi.call_data(function, args)


# ---------------------------------------------------------------------------------------------------------- tracking


def track(held: Held, tx_hash: str) -> Row:
    """Return a transaction as the node knows it now.

    Raises:
        NotFound: neither we nor the node know it.
    """
    chain_id, node = held.mirror.chain_id, held.contracts.node
    with held.mirror.database.write() as session:
        kept = repository.get(session, chain_id, tx_hash)
    sent, receipt = node.batch([("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])])
    if kept is None and sent is None:
        raise NotFound("Neither this service nor its node knows the transaction.")
    shown = _unmined(kept, sent, tx_hash)
    if receipt is not None:
        return {**shown, **_mined(held, sent, receipt)}
    if sent is not None:
        return {**shown, "status": "submitted"}
    return {**shown, **_missing(held, kept or {})}


def _unmined(kept: Row | None, sent: dict[str, Any] | None, tx_hash: str) -> Row:
    known = kept or {}
    return {
        "hash": tx_hash,
        "account": sent["from"] if sent else known["sender"],
        "to": sent["to"] if sent else None,
        "nonce": int(sent["nonce"], 16) if sent else known["nonce"],
        "action": known.get("kind"),
        "plan_id": known.get("plan_id"),
        "submitted_at": known.get("submitted_at"),
        **dict.fromkeys(
            (
                "block_number",
                "block_hash",
                "time",
                "gas_used",
                "effective_gas_price",
                "revert",
                "replaced_by",
                "resource",
            )
        ),
        "events": [],
    }


def _missing(held: Held, kept: Row) -> Row:
    """Return the state of a transaction of ours that the node no longer has."""
    node = held.contracts.node
    if int(node.call("eth_getTransactionCount", kept["sender"], "latest"), 16) > kept["nonce"]:
        with held.mirror.database.write() as session:
            rivals = repository.rivals(session, held.mirror.chain_id, kept["sender"], kept["nonce"], kept["tx_hash"])
        # its own too: it may have been mined since we asked
        own, *receipts = node.batch([("eth_getTransactionReceipt", [each]) for each in (kept["tx_hash"], *rivals)])
        if own is not None:
            return _mined(held, None, own)
        mined = [rival for rival, receipt in zip(rivals, receipts, strict=True) if receipt]
        return {"status": "replaced", "replaced_by": mined[0] if mined else None}
    return {"status": "unknown" if kept["state"] == "unknown" else "dropped"}


def _mined(held: Held, sent: dict[str, Any] | None, receipt: dict[str, Any]) -> Row:
    node, number = held.contracts.node, int(receipt["blockNumber"], 16)
    block = node.call("eth_getBlockByHash", receipt["blockHash"], False)
    failed = int(receipt["status"], 16) == 0
    events = [
        {"log_index": int(log["logIndex"], 16), **event}
        for log, event in zip(receipt["logs"], held.contracts.events(receipt["logs"]), strict=True)
    ]
    return {
        "status": "reverted" if failed else _finality(held, number),
        "block_number": number,
        "block_hash": receipt["blockHash"],
        "time": int(block["timestamp"], 16) if block else None,
        "gas_used": int(receipt["gasUsed"], 16),
        "effective_gas_price": int(receipt["effectiveGasPrice"], 16),
        "revert": _reason(node, sent, number) if failed and sent else None,
        "events": events,
        "resource": _resource(events),
    }


def _finality(held: Held, number: int) -> str:
    heights = held.mirror.heights()
    if number <= heights.finalized:
        return "finalized"
    return "safe" if number <= heights.safe else "included"


def _reason(node: Node, sent: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Replay a failed transaction on the state before its block; None where that no longer fails, or is gone."""
    call = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "gas": sent["gas"], "value": sent["value"]}
    try:
        node.call("eth_call", call, hex(number - 1))
    except NodeError as error:
        return abi.revert(error.data)
    return None


def _resource(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    for event in events:
        if event["name"] in MADE:
            kind, argument, path = MADE[event["name"]]
            made = int(event["args"][argument])
            return {"type": kind, "id": made, "href": f"{path}/{made}"}
    return None

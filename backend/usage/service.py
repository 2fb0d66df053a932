"""Reports: what may be done with them."""

from backend.chain.contracts import Call, Contracts
from backend.plans.service import Intent
from backend.usage.schemas import EntryIn, PostReport, VoidReport


def _entry(entry: EntryIn) -> dict[str, str]:
    return {
        "leaseId": str(entry.lease_id),
        "fromEpoch": str(entry.from_epoch),
        "toEpoch": str(entry.to_epoch),
        "round": str(entry.round),
        "available": str(entry.available),
        "busy": str(entry.busy),
        "curtailed": str(entry.curtailed),
        "wattHours": str(entry.watt_hours),
    }


def _meter(contracts: Contracts, function: str, **args: object) -> Call:
    return Call("UsageMeter", contracts.deployment.address("UsageMeter"), function, args)


def post(contracts: Contracts, body: PostReport) -> Intent:
    """Plan posting a signed report."""
    report = {
        "siteId": str(body.report.site_id),
        "samplesRoot": body.report.samples_root,
        "entries": [_entry(entry) for entry in body.report.entries],
    }
    call = _meter(contracts, "report", r=report, signatures=list(body.signatures))
    title = f"Report {len(body.report.entries)} leases of site {body.report.site_id}"
    return Intent("post_report", title, body.account, call)


def void(contracts: Contracts, body: VoidReport) -> Intent:
    """Plan voiding a report that is not final."""
    call = _meter(contracts, "void", leaseId=str(body.lease_id), fromEpoch=str(body.from_epoch))
    return Intent("void_report", f"Void reports of lease {body.lease_id}", body.account, call)

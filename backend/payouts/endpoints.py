"""Routes of payouts and credits."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import Finality, Paging
from backend.kit.pages import Page
from backend.kit.problems import LOGS
from backend.kit.types import Address, ShortText, checksummed
from backend.payouts.schemas import Kind, Payout, WithdrawCredit
from backend.plans.service import PLANNED, Intent
from backend.services import Services, reads, writes
from indexer.schema import tables

reading = reads("payouts")
writing = writes("payouts")


@reading.get("/payouts", response_model=Page[Payout], responses=LOGS, operation_id="list_payouts")
def list_payouts(
    services: Services,
    asked: Paging,
    *,
    account: Annotated[Address | None, Query()] = None,
    recipient: Annotated[Address | None, Query()] = None,
    kind: Annotated[Kind | None, Query()] = None,
    subject: Annotated[ShortText | None, Query(description="Such as lease/7 or offering/3.")] = None,
    finality: Finality = None,
) -> Any:
    """Payouts in the order of the chain."""
    table = tables["payout"]
    given = {"account": account, "recipient": recipient, "kind": kind, "subject": subject}
    with services.mirror.view() as view:
        wanted = [view.equal(table, name, value) for name, value in given.items() if value is not None]
        page = view.logs(table, asked, finality, *wanted)
        return {**page, "data": [{**row, "asset": services.assets.of(row["token"])} for row in page["data"]]}


@writing.post("/credits/withdraw", operation_id="plan_withdraw_credit", **PLANNED)
def plan_withdraw_credit(services: Services, body: WithdrawCredit) -> Response:
    """Plan: draw a credit (rent of a site owner, and what else the LeaseBook owes an account)."""
    call = services.contracts.book(
        "withdrawCredit", token=checksummed(body.token), to=checksummed(body.to or body.account)
    )
    return services.planner.plan(Intent("withdraw_credit", "Withdraw the credit", body.account, call))

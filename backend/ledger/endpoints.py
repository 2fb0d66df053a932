"""Routes of the books."""

from typing import Annotated, Any, Literal

from fastapi import Query

from backend.kit.deps import AsOf, Finality, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import LOGS
from backend.kit.types import Address, BlockNumber, Hash, text
from backend.ledger import repository, service
from backend.ledger.schemas import Comparison, Posting, TrialBalance
from backend.services import Services, reads
from indexer.schema import posting

reading = reads("ledger")


@reading.get("/ledger/trial-balance", response_model=One[TrialBalance], operation_id="get_trial_balance")
def get_trial_balance(services: Services, token: Annotated[Address | None, Query()] = None, at: AsOf = None) -> Any:
    """Every account's balance, as of any block; in each token debits equal credits."""
    with services.mirror.view(at) as view:
        return view.one(service.trial_balance(view, token, services.assets))


@reading.get("/ledger/journal", response_model=Page[Posting], responses=LOGS, operation_id="list_postings")
def list_postings(
    services: Services,
    asked: Paging,
    *,
    account: Annotated[Annotated[str, text(1, 128)] | None, Query(description="Such as escrow:lease/7.")] = None,
    from_block: Annotated[BlockNumber | None, Query()] = None,
    to_block: Annotated[BlockNumber | None, Query()] = None,
    tx_hash: Annotated[Hash | None, Query()] = None,
    sort: Annotated[Literal["block", "-block"], Query()] = "block",
    finality: Finality = None,
) -> Any:
    """Postings in the order of the chain."""
    with services.mirror.view() as view:
        wanted = []
        if account is not None:
            wanted.append(repository.account_id(view, account))
        if from_block is not None:
            wanted.append(posting.c.block_number >= from_block)
        if to_block is not None:
            wanted.append(posting.c.block_number <= to_block)
        if tx_hash is not None:
            wanted.append(repository.of_transaction(view, tx_hash))
        places = ("block_number", "log_index", "ordinal")
        page = view.logs(posting, asked, finality, *wanted, newest_first=sort == "-block", places=places)
        return {**page, "data": service.postings(view, page["data"], services.assets)}


@reading.get("/ledger/reconciliation", response_model=Page[Comparison], operation_id="list_comparisons")
def list_comparisons(
    services: Services,
    asked: Paging,
    status: Annotated[Literal["ok", "differs", "failed"] | None, Query()] = None,
) -> Any:
    """Comparisons of the books with the chain, the newest block first."""
    with services.mirror.view() as view, services.mirror.database.write() as session:
        rows = repository.comparisons(session, view.chain_id, asked, status)
        return view.page(asked, rows, "block_number", "sweep", "hashed")

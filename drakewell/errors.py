"""What can go wrong, as a tree of exceptions.

```
DrakewellError
├── Unreachable             no answer from the API (the network, a time-out): nothing is known of what was asked
├── Problem                 the API answered with a problem document (RFC 9457)
│   ├── Invalid             400, 422: a parameter is wrong; `errors` names each
│   │   └── WouldRevert     422 would_revert: the contract would refuse; `revert` has its decoded error
│   ├── NotFound            404
│   ├── Conflict            409
│   ├── Busy                429, 503: ask again after `retry_after` seconds
│   └── ServerFault         any other 5xx
├── CannotProceed           the plan has issues that the caller must mend first: allowance, balance, eligibility, gas
├── PlanMismatch            not a plan for the call asked for: nothing was signed
├── TransactionFailed       it was included and reverted, or dropped, or replaced
└── NotIncluded             it was not seen in a block in time: it may still be
```
"""

from __future__ import annotations

from typing import Any


class DrakewellError(Exception):
    """Any error of this library."""


class Unreachable(DrakewellError):  # noqa: N818 - named for what happened
    """The API did not answer. A submission may have arrived: look its hash up before sending again."""


class Problem(DrakewellError):  # noqa: N818 - named for what happened
    """The API's problem document: `status`, stable `code`, `title`, `detail`, `errors`, `revert`, `request_id`."""

    def __init__(self, status: int, document: dict[str, Any], retry_after: float | None = None) -> None:
        """Keep the document; the message is its detail with each of its errors."""
        self.status = status
        self.document = document
        self.code = str(document.get("code", "unknown"))
        self.errors: list[dict[str, Any]] = list(document.get("errors") or [])
        self.revert: dict[str, Any] = document.get("revert") or {}
        self.request_id = document.get("request_id")
        self.retry_after = retry_after
        lines = [f"{self.code}: {document.get('detail') or document.get('title') or f'HTTP {status}'}"]
        lines += [f"  {error}" for error in self.errors]
        if self.revert:
            lines.append(f"  {self.revert.get('name')}({self.revert.get('args')})")
        super().__init__("\n".join(lines))


class Invalid(Problem):
    """The request is wrong: mend what `errors` names."""


class WouldRevert(Invalid):
    """The contract would refuse the transaction now; `revert` has `name` and `args`."""


class NotFound(Problem):
    """There is no such thing at that block."""


class Conflict(Problem):
    """The request contradicts what is stored, or a cursor's anchor was reorganised away: begin the list again."""


class Busy(Problem):
    """Too many requests, or the mirror is behind the block asked for: wait `retry_after` seconds."""


class ServerFault(Problem):
    """A fault of the server; `request_id` finds it in its log."""


class CannotProceed(DrakewellError):  # noqa: N818 - named for what happened
    """The plan says what to mend first; `issues` as the API gave them."""

    def __init__(self, issues: list[dict[str, Any]]) -> None:
        """Say each issue in a line."""
        self.issues = issues
        super().__init__("\n".join(str(issue.get("message") or issue) for issue in issues))


class PlanMismatch(DrakewellError):  # noqa: N818 - named for what happened
    """What the server asks to sign is not what the caller asked for. Nothing was signed: do not trust that server."""


class TransactionFailed(DrakewellError):  # noqa: N818 - named for what happened
    """The transaction did not do what it should; `transaction` is its last state."""

    def __init__(self, transaction: dict[str, Any]) -> None:
        """Name the hash, the state and the revert."""
        self.transaction = transaction
        revert = transaction.get("revert") or {}
        super().__init__(f"{transaction.get('hash')} {transaction.get('status')} {revert.get('name', '')}".rstrip())


class NotIncluded(DrakewellError):  # noqa: N818 - named for what happened
    """No block held the transaction in time. It may still be included: ask `client.transaction(hash)`."""


def problem(status: int, document: dict[str, Any], retry_after: float | None = None) -> Problem:
    """Return the exception for a problem document."""
    if document.get("code") == "would_revert":
        return WouldRevert(status, document, retry_after)
    kinds: dict[int, type[Problem]] = {400: Invalid, 422: Invalid, 404: NotFound, 409: Conflict, 429: Busy, 503: Busy}
    return kinds.get(status, ServerFault if status >= 500 else Invalid)(status, document, retry_after)

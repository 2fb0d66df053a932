"""Every error answer is an RFC 9457 problem document with a stable ``code``; this file is the tree of them."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """Where a request is wrong and how to mend it."""

    loc: str
    message: str


class Revert(BaseModel):
    """A contract's refusal, decoded."""

    contract: str | None
    name: str
    args: dict[str, Any]
    data: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = None
    revert: Revert | None = None


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """Something failed on our side. (Subclasses fix another status, code and title.)"""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        revert: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.revert = revert
        self.headers = headers


class InvalidRequest(Problem):
    """A parameter or body that fails its type."""

    status, code, title = 400, "invalid_request", "Invalid request"


class UnknownParameter(Problem):
    """A query parameter that the endpoint does not have: never ignored."""

    status, code, title = 400, "unknown_parameter", "Unknown parameter"


class NotHistorical(Problem):
    """`as_of_block` where only the present is kept for search."""

    status, code, title = 400, "not_historical", "No past here"


class InvalidCursor(Problem):
    """A cursor that this list did not give."""

    status, code, title = 400, "invalid_cursor", "Invalid cursor"


class CursorInvalidated(Problem):
    """A cursor whose anchor was reorganised away."""

    status, code, title = 409, "cursor_invalidated", "Cursor invalidated"


class NotFound(Problem):
    """No such resource."""

    status, code, title = 404, "not_found", "Not found"


class PlanInvalid(Problem):
    """A plan that this service did not make, or that was changed since."""

    status, code, title = 400, "plan_invalid", "Plan invalid"


class PlanMismatch(Problem):
    """A signed transaction that is not the plan's step."""

    status, code, title = 400, "plan_mismatch", "Not the plan's transaction"


class PlanExpired(Problem):
    """A plan past its expiry by the chain's time."""

    status, code, title = 410, "plan_expired", "Plan expired"


class WouldRevert(Problem):
    """A plan whose simulation the contracts refuse."""

    status, code, title = 422, "would_revert", "The contracts would refuse"


class RefusedByNode(Problem):
    """A transaction that the node does not take."""

    status, code, title = 422, "refused_by_node", "The node refuses the transaction"


class BodyTooLarge(Problem):
    """A body above the limit."""

    status, code, title = 413, "body_too_large", "Body too large"


class RateLimited(Problem):
    """Too many requests from one address."""

    status, code, title = 429, "rate_limited", "Too many requests"


class NodeUnavailable(Problem):
    """The chain's node does not answer."""

    status, code, title = 502, "node_unavailable", "Node unavailable"


class IndexBehind(Problem):
    """The mirror has not reached the block asked for."""

    status, code, title = 503, "index_behind", "Index behind"


class NotReady(Problem):
    """The service cannot answer truthfully now."""

    status, code, title = 503, "not_ready", "Not ready"


def declared(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI ``responses`` of the given problems."""
    by_status: dict[int | str, list[type[Problem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem)
    return {
        status: {
            "description": "; ".join(f"`{each.code}`: {(each.__doc__ or '').strip()}" for each in kinds),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status, kinds in by_status.items()
    }


READING = declared(
    InvalidRequest, UnknownParameter, NotHistorical, InvalidCursor, RateLimited, IndexBehind, NotReady, Problem
)
PLANNING = declared(
    InvalidRequest, UnknownParameter, NotFound, BodyTooLarge, WouldRevert, RateLimited, NodeUnavailable, Problem
)
#: A list whose rows are logs.
LOGS = declared(CursorInvalidated)
LOGS_OF = declared(NotFound, CursorInvalidated)


def answer(request: Request, problem: Problem) -> JSONResponse:
    """Write a problem down."""
    document: dict[str, Any] = {
        "type": f"urn:drakewell:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request.scope.get("request_id", ""),
    }
    if problem.errors:
        document["errors"] = problem.errors
    if problem.revert:
        document["revert"] = problem.revert
    return JSONResponse(document, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


_HTTP_CODES = {
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    413: (BodyTooLarge.code, BodyTooLarge.title),
    415: ("unsupported_media_type", "Unsupported media type"),
}


def _from_http(error: HTTPException) -> Problem:
    code, title = _HTTP_CODES.get(error.status_code, ("invalid_request", "Invalid request"))
    problem = Problem(str(error.detail), headers=dict(error.headers or {}))
    problem.status, problem.code, problem.title = error.status_code, code, title
    return problem


def _from_validation(error: RequestValidationError) -> Problem:
    errors = [
        {
            "loc": ".".join(str(part) for part in each["loc"]).encode("ascii", "backslashreplace").decode(),
            "message": each["msg"].removeprefix("Value error, "),
        }
        for each in error.errors()[:20]
    ]
    return InvalidRequest("The request does not fit the endpoint's types; see errors.", errors=errors)


def install(app: FastAPI) -> None:
    """Answer every kind of error of ``app`` with a problem document."""

    @app.exception_handler(Problem)
    async def _ours(request: Request, error: Problem) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _types(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, _from_validation(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return answer(request, _from_http(error))

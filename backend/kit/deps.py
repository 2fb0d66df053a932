"""Query parameters that many endpoints share, and the check that nobody sends others: none is ever ignored."""

from typing import Annotated, Any, Literal, get_origin

from fastapi import Depends, Query, Request

from backend.kit.pages import Asked, scope_of
from backend.kit.problems import InvalidRequest, NotHistorical, UnknownParameter
from backend.kit.types import BlockNumber, Limit

AsOf = Annotated[
    BlockNumber | None, Query(alias="as_of_block", description="Answer as of this block instead of the newest.")
]
Finality = Annotated[
    Literal["included", "safe", "finalized"] | None, Query(description="Only rows at least this settled.")
]


def _queries(dependant: Any) -> dict[str, bool]:
    """Return the query parameters of an endpoint and what it depends on, each with whether it may be repeated."""
    found = {field.alias: get_origin(field.field_info.annotation) is list for field in dependant.query_params}
    for each in dependant.dependencies:
        found |= _queries(each)
    return found


async def known_parameters(request: Request) -> None:
    """Refuse parameters that the endpoint does not have, and a second value where one is meant."""
    if not request.query_params:
        return
    declared = _queries(request.scope["route"].dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in dict.fromkeys(given):
        if name not in declared:
            if name == "as_of_block":
                raise NotHistorical(
                    "This answers for the newest block only; see the documentation for what has a past."
                )
            shown = name[:64].encode("ascii", "backslashreplace").decode()
            known = ", ".join(sorted(declared)) or "none"
            raise UnknownParameter(f"There is no parameter {shown} here; there are: {known}.")
        if given.count(name) > 1 and not declared[name]:
            raise InvalidRequest(
                "A parameter is given twice.", errors=[{"loc": f"query.{name}", "message": "must be given once"}]
            )


async def _asked(
    request: Request,
    limit: Annotated[Limit, Query(description="Rows a page.")] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,600}$", description="`page.next_cursor`.")] = None,
) -> Asked:
    return Asked(limit, scope_of(request.url.path, request.query_params.multi_items()), cursor)


Paging = Annotated[Asked, Depends(_asked)]

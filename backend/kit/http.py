"""Around every request: its id, its limits, its log line, its metric, and a 500 problem for what nobody foresaw."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.kit.limits import Limits
from backend.kit.logs import request_id
from backend.kit.metrics import Metrics
from backend.kit.problems import BodyTooLarge, Problem, RateLimited, answer

logger = logging.getLogger("backend.http")

MAX_BODY_BYTES = 512 * 1024
#: What a metric may be labelled with: a caller may send any word as a method.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Envelope:
    """Pure ASGI: no task and no queue a request."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        name = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = name
        request_id.set(name)
        started, status, extra = time.perf_counter(), 0, {"x-request-id": name}

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(extra)
            await send(message)

        refusal = self._refusal(scope, headers, extra)
        try:
            if refusal is None:
                await self.app(scope, _bounded(receive), sending)
            else:
                await answer(Request(scope), refusal)(scope, receive, sending)
        except Exception:
            self.metrics.errors.inc()
            logger.exception("unforeseen error", extra={"fields": {"path": scope["path"]}})
            if status == 0:
                problem = Problem("Something failed on our side; the request_id names it in our log.")
                await answer(Request(scope), problem)(scope, receive, sending)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope, headers: Headers, extra: dict[str, str]) -> Problem | None:
        if scope["path"] in UNLIMITED:
            return None
        client = (scope.get("client") or ("unknown", 0))[0]
        verdict = self.limits.hit("reads" if scope["method"] in {"GET", "HEAD"} else "writes", client)
        extra.update(verdict.headers)
        if not verdict.allowed:
            return RateLimited("Slow down: Retry-After says for how many seconds.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MAX_BODY_BYTES:
            return BodyTooLarge(f"A body has at most {MAX_BODY_BYTES} bytes.")
        return None

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self.metrics.requests.labels(method, route, str(status)).observe(seconds)
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
        }
        logger.info("request", extra={"fields": fields})


def _bounded(receive: Receive) -> Receive:
    """Refuse to read on once a body without a truthful length grows past the limit."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            # the one kind of error that FastAPI lets through while it reads a body
            raise HTTPException(BodyTooLarge.status, f"A body has at most {MAX_BODY_BYTES} bytes.")
        return message

    return bounded

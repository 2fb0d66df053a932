"""Junk, limits and faults: whatever comes in, what goes out is a problem document that tells the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.app import create_app
from backend.settings import Settings
from scripts.launch import Postgres, child, free_port, python
from tests.backend.conftest import Api, eventually, problem, serving

HUGE = "9" * 66
JUNK_TEXT = [
    "abc\x00",
    "\x00",
    HUGE,
    "9" * 5000,
    "-1",
    "1.5",
    "1e3",
    "٣",
    "0x",
    "0xzz",
    str(2**63),
    "NaN",
    "' OR 1=1 --",
    "\ud800".encode("utf-8", "surrogatepass"),
]
JUNK_JSON = [
    1.5,
    -1,
    True,
    2**63,
    2**256,
    int(HUGE),
    "\x00",
    "\ud800",
    "x" * 70_000,
    [],
    {},
    [[[]]],
    {"a": {"b": 1}},
    "0x" + "zz" * 20,
    "9" * 80,
]
RAW_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b"\xff\xfe",
    b'{"account": "\xff"}',
    b"[" * 20_000,
    b"1" * 6_000,
    b'{"account": ' + b"1" * 6_000 + b"}",
]


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    return api.http.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Return a value that fits a schema of the document."""
    if "$ref" in schema:
        return sample(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return sample(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object":
        return {name: sample(document, each) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(document, schema["items"])]
    if kind == "integer":
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    if "examples" in schema:
        return schema["examples"][0]
    return "0x" + "11" * 32 if schema.get("pattern", "").startswith("^0x") else "text"


def free(schema: dict[str, Any]) -> bool:
    """Return whether any text fits, but for control characters and length."""
    kinds = [kind.get("items", kind) for kind in schema.get("anyOf", [schema])]
    return any(
        kind.get("type") == "string" and not kind.keys() & {"pattern", "format", "enum", "examples"} for kind in kinds
    )


def filled(document: dict[str, Any], path: str, operation: dict[str, Any], **given: str) -> str:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = given.get(parameter["name"], sample(document, parameter["schema"]))
            path = path.replace("{" + parameter["name"] + "}", str(value))
    return path


def refused(answer: httpx.Response, *codes: str) -> None:
    assert 400 <= answer.status_code < 500, (answer.request.method, answer.request.url, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in codes, (answer.request.url, answer.text)


def test_junk_in_a_path_is_refused_by_its_type(api: Api, document: dict[str, Any]) -> None:
    from urllib.parse import quote

    tried = 0
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                continue
            for junk in [*JUNK_TEXT, "0", "0x" + "12" * 33, "x" * 3000]:
                url = filled(document, path, operation, **{parameter["name"]: quote(junk, safe="")})
                refused(api.http.request(method, url), "invalid_request")
                tried += 1
    assert tried > 500


def test_junk_in_a_query_is_refused_by_its_type(api: Api, document: dict[str, Any]) -> None:
    tried = 0
    for method, path, operation in operations(document):
        url = filled(document, path, operation)
        names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
        needed = {
            each["name"]: sample(document, each["schema"])
            for each in operation.get("parameters", [])
            if each["in"] == "query" and each.get("required")
        }
        for name in names:
            (schema,) = (each["schema"] for each in operation["parameters"] if each["name"] == name)
            for value in JUNK_TEXT if not free(schema) else ["\x00", "x" * 3000, "\t"]:
                if value == str(2**63) and name == "price_lte":
                    continue  # a price has 72 bits
                answer = api.http.request(method, url, params={**needed, name: value})
                refused(answer, "invalid_request", "invalid_cursor")
                tried += 1
            if method == "GET" and name not in {"gpu_model", "region"}:
                value = needed.get(name, "1")
                refused(api.http.get(url, params=[(name, value), (name, value)]), "invalid_request")
        refused(api.http.request(method, url, params={**needed, "colour": "red"}), "unknown_parameter")
    assert tried > 800


def leaves(schema: dict[str, Any], document: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield the path and schema of each place in a body where a single value stands, and of each list."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("type") == "object" and "properties" in schema:
        for name, each in schema["properties"].items():
            yield from leaves(each, document, (*path, name))
    elif schema.get("type") == "array":
        yield path, {}
        yield from leaves(schema["items"], document, (*path, 0))
    else:
        yield path, schema


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = list(body) if isinstance(body, list) else dict(body)
    copied[path[0]] = put(copied[path[0]], path[1:], value)
    return copied


def test_junk_in_a_body_is_refused_by_its_type(api: Api, document: dict[str, Any]) -> None:
    tried = 0
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        url = filled(document, path, operation)
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = sample(document, schema)
        for raw in RAW_BODIES:
            answer = api.http.request(method, url, content=raw, headers={"content-type": "application/json"})
            refused(answer, "invalid_request")
        for at, kind in leaves(schema, document):
            for junk in JUNK_JSON:
                if isinstance(junk, str) and free(kind) and "\x00" not in junk and junk.isascii() and len(junk) < 100:
                    continue
                text = json.dumps(put(body, at, junk))
                answer = api.http.request(method, url, content=text, headers={"content-type": "application/json"})
                refused(answer, *(("invalid_request", "plan_invalid") if at == ("plan",) else ("invalid_request",)))
                tried += 1
        refused(api.http.request(method, url, json={**body, "colour": "red"}), "invalid_request")
        for name in body:
            lacking = {key: value for key, value in body.items() if key != name}
            answer = api.http.request(method, url, json=lacking)
            assert 200 <= answer.status_code < 500, answer.text
    assert tried > 1000


def test_an_address_that_fails_its_checksum_is_refused(api: Api) -> None:
    good = api.market.address("owner")
    bad = good[:-1] + good[-1].swapcase() if good[-1].isalpha() else good.swapcase().replace("0X", "0x")
    assert api.http.get(f"/v1/accounts/{good.lower()}/portfolio").status_code == 200
    assert api.http.get(f"/v1/accounts/0x{good[2:].upper()}/portfolio").status_code == 200
    refused(api.http.get(f"/v1/accounts/{bad}/portfolio"), "invalid_request")


def test_forged_cursors_are_refused(api: Api) -> None:
    import base64

    cursor = api.get("/v1/ledger/journal", limit=1)["page"]["next_cursor"]
    scope, block_hash, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for forged in (
        [scope, block_hash, key[:2]],
        [scope, block_hash, [*key, "1"]],
        [scope, block_hash, ["x", *key[1:]]],
        [scope, block_hash, [str(2**64), *key[1:]]],
        [scope, block_hash, [1, 2, 3]],
        [scope, 7, key],
        [scope, block_hash, None],
        {"scope": scope},
        "text",
    ):
        text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
        refused(api.http.get("/v1/ledger/journal", params={"cursor": text, "limit": 1}), "invalid_cursor")


def test_unknown_routes_and_methods_are_problems(api: Api) -> None:
    problem(api.http.get("/v1/nothing"), 404, "not_found")
    problem(api.http.delete("/v1/sites"), 405, "method_not_allowed")
    problem(api.http.get("/v1/sites/4711"), 404, "not_found")
    problem(api.http.get("/v1/shares/2"), 404, "not_found")


def test_a_body_too_large_is_not_read(api: Api) -> None:
    answer = api.http.post("/v1/sites", content=b" " * 600_000, headers={"content-type": "application/json"})
    problem(answer, 413, "body_too_large")

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    answer = api.http.post("/v1/sites", content=endless(), headers={"content-type": "application/json"})
    problem(answer, 413, "body_too_large")


def test_an_unforeseen_error_is_a_500_that_says_nothing_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("the secret of the inside")

    monkeypatch.setattr("backend.sites.service.shown", broken)
    answer = api.http.get("/v1/sites/1", headers={"x-request-id": "mine-1"})
    document = problem(answer, 500, "internal_error")
    assert document["request_id"] == "mine-1"
    assert "secret" not in answer.text
    assert "http_internal_errors_total" in api.http.get("/metrics").text


def settings(api: Api, **changed: Any) -> Settings:
    return api.settings.model_copy(update=changed)


def test_who_asks_too_much_waits(api: Api) -> None:
    strict = create_app(settings(api, limit_reads="3/minute", limit_writes="1/minute"))
    with serving(strict) as base, httpx.Client(base_url=base) as http:
        for left in (2, 1, 0):
            answer = http.get("/v1/sites")
            assert answer.status_code == 200
            assert f"r={left}" in answer.headers["ratelimit"]
        answer = http.get("/v1/sites")
        problem(answer, 429, "rate_limited")
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert http.get("/healthz").status_code == 200
        assert http.post("/v1/sites", json={}).status_code == 400
        problem(http.post("/v1/sites", json={}), 429, "rate_limited")


def test_a_database_without_a_mirror_is_not_ready(api: Api, pg: Postgres) -> None:
    url = pg.new_database()
    with serving(create_app(settings(api, database_url=url))) as base, httpx.Client(base_url=base) as http:
        assert http.get("/healthz").status_code == 200
        assert "migrate" in problem(http.get("/v1/sites"), 503, "not_ready")["detail"]
        problem(http.get("/readyz"), 503, "not_ready")
        from indexer import migrate

        migrate.upgrade("postgresql+psycopg://" + url.split("://", 1)[1])
        problem(http.get("/v1/sites"), 503, "not_ready")
        problem(http.get("/readyz"), 503, "not_ready")
    pg.drop_database(url.rsplit("/", 1)[1])


def test_a_database_that_is_away_is_not_ready(api: Api) -> None:
    away = "postgresql://nobody:none@127.0.0.1:9/none"
    with serving(create_app(settings(api, database_url=away))) as base, httpx.Client(base_url=base) as http:
        problem(http.get("/v1/sites"), 503, "not_ready")
        problem(http.get("/readyz"), 503, "not_ready")
        assert http.get("/metrics").status_code == 200


def test_the_mirror_is_read_where_its_replica_is(api: Api) -> None:
    away = "postgresql://nobody:none@127.0.0.1:9/none"
    with serving(create_app(settings(api, database_read_url=away))) as base, httpx.Client(base_url=base) as http:
        problem(http.get("/v1/sites"), 503, "not_ready")
        body = {"account": api.market.address("stranger")}
        assert http.post("/v1/leases/4/settle", json=body).status_code in {201, 422}


def test_the_command_serves(api: Api, tmp_path: Path) -> None:
    env = {
        "DATABASE_URL": api.settings.database_url,
        "DRAKEWELL_RPC_URL": api.settings.rpc_url,
        "DRAKEWELL_DEPLOYMENT": str(api.settings.deployment),
    }
    port = free_port()

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    with child(python("backend", "--port", str(port)), folder=tmp_path, name="api", env=env, ready=ready) as process:
        assert httpx.get(f"http://127.0.0.1:{port}/v1/sites/1").status_code == 200
    assert process.returncode in {0, -15}
    lines = [json.loads(line) for line in (tmp_path / "api.log").read_text().splitlines()]
    assert any(line.get("route") == "/v1/sites/{site_id}" and line["request_id"] for line in lines)


def test_the_command_says_what_is_missing(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.__main__ import serve

    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="DATABASE_URL"):
        serve()
    monkeypatch.setenv("DATABASE_URL", api.settings.database_url)
    monkeypatch.setenv("DRAKEWELL_DEPLOYMENT", str(tmp_path / "none.json"))
    with pytest.raises(SystemExit, match="no deployment at"):
        serve()


def test_logs_are_json_with_the_request(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    from backend.kit.logs import JsonFormatter

    with caplog.at_level("INFO", "backend.http"):
        api.http.get("/v1/sites/1", headers={"x-request-id": "log-1"})
        eventually(lambda: any(each.getMessage() == "request" for each in caplog.records))
    record = next(each for each in caplog.records if each.getMessage() == "request")
    line = json.loads(JsonFormatter().format(record))
    assert (line["route"], line["status"], line["level"]) == ("/v1/sites/{site_id}", 200, "info")


# ----------------------------------------------------------------------------------------------------------- document


def test_the_document_is_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids)) > 50
    for method, path, operation in operations(document):
        assert operation["tags"], path
        problems = [each for each in operation["responses"].values() if "application/problem+json" in each["content"]]
        assert problems or path in {"/healthz", "/metrics"}, (method, path)
        for answer in problems:
            assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("ProblemDocument")
    assert "HTTPValidationError" not in json.dumps(document)


def test_the_document_is_the_one_reviewed(document: dict[str, Any]) -> None:
    """Change `openapi.txt` with the API: `python tests/backend/test_edges.py URL > tests/backend/openapi.txt`."""
    assert outline(document) == (Path(__file__).parent / "openapi.txt").read_text()


def outline(document: dict[str, Any]) -> str:
    """Return each operation, its parameters, body and answers in a line, and each schema's fields."""
    lines = []
    for method, path, operation in operations(document):
        names = [each["name"] + ("*" if each.get("required") else "") for each in operation.get("parameters", [])]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        shown = f"{method} {path} {operation['operationId']}({', '.join(names)})"
        body_name = body.get("$ref", "").rsplit("/", 1)[-1]
        lines.append(f"{shown} {body_name} -> {' '.join(sorted(operation['responses']))}".replace("  ", " "))
    for name, schema in sorted(document["components"]["schemas"].items()):
        required = schema.get("required", [])
        fields = [each + ("*" if each in required else "") for each in schema.get("properties", {})]
        lines.append(f"{name}: {', '.join(fields)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    print(outline(httpx.get(f"{sys.argv[1]}/openapi.json").json()), end="")

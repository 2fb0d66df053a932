"""A node that lies: an HTTP proxy before Anvil whose answers a test may change, refuse or drop."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Tamper = Callable[[str, list[Any], Any], Any]


class RefusalError(Exception):
    """Raised by a tamper: the call is answered with this JSON-RPC error."""


class DropError(Exception):
    """Raised by a tamper: the connection is closed, or `status` answered."""

    def __init__(self, status: int | None = None):
        self.status = status


class Proxy:
    def __init__(self, upstream: str):
        self.upstream = upstream
        self.tamper: Tamper = lambda method, params, result: result
        self.calls: list[str] = []
        self.url = ""

    def answer(self, body: Any) -> Any:
        request = urllib.request.Request(self.upstream, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            found = json.load(response)
        asked, answers = (body, found) if isinstance(body, list) else ([body], [found])
        by_id = {each["id"]: each for each in asked}
        for each in answers:
            call = by_id[each["id"]]
            self.calls.append(call["method"])
            try:
                each["result"] = self.tamper(call["method"], call.get("params", []), each.get("result"))
            except RefusalError as refusal:
                each.pop("result", None)
                each["error"] = {"code": -32000, "message": str(refusal)}
        return found


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    served = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                text = json.dumps(served.answer(body)).encode()
                status = 200
            except DropError as drop:
                if drop.status is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, text = drop.status, b"overloaded"
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Prometheus metrics, one registry an application, with route templates as labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What the service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "http_request_seconds",
            "Duration of requests",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.errors = Counter("http_internal_errors", "Unforeseen exceptions", registry=self.registry)
        self.node_calls = Counter("node_calls", "JSON-RPC requests sent", ("method",), registry=self.registry)
        self.head = Gauge("chain_head_block", "Head of the node", registry=self.registry)
        self.indexed = Gauge("chain_indexed_block", "Last block in the mirror", registry=self.registry)
        self.unreconciled = Gauge("ledger_unreconciled_blocks", "Blocks without a comparison", registry=self.registry)
        self.differences = Gauge("ledger_differences", "Differences between books and chain", registry=self.registry)

    def page(self) -> bytes:
        """Return all of it in the text format."""
        return generate_latest(self.registry)

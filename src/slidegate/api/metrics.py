# SPDX-License-Identifier: BSD-3-Clause
"""Numbers for Prometheus; they name no person and no image."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "slidegate_http_requests", "Requests by route and status.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "slidegate_http_seconds", "Seconds a request took.", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.streams = Gauge("slidegate_streams", "Live views that are open.", registry=self.registry)
        self.sign_ins = Counter(
            "slidegate_sign_ins", "Sign-ins by outcome.", ("outcome",), registry=self.registry
        )
        self.waits = Gauge("slidegate_waits", "Requests that wait for a worker.", registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all numbers in Prometheus' own form."""
        return generate_latest(self.registry)

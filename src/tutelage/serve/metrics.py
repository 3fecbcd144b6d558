"""What a server counts, for Prometheus: requests, who answered, how long it took, tokens and dollars, and who waits."""

import time
from collections.abc import Callable
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from tutelage.types import ALONE, ESCALATED, Reply

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counts of one server; none of them holds anything that a client wrote."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """`waiting` tells how many requests wait."""
        self._registry = known = CollectorRegistry()
        self.requests = Counter("tutelage_requests", "Requests, by what became of them.", ["outcome"], registry=known)
        self.answers = Counter(
            "tutelage_answers", "Answers, by the model whose words they are.", ["model"], registry=known
        )
        self.escalations = Counter(
            "tutelage_escalations", "Answers of a cascade for which its second model was asked.", registry=known
        )
        self.alone = Counter(
            "tutelage_alone", "Answers that stand although another model should have been asked.", registry=known
        )
        self.tokens = Counter(
            "tutelage_tokens", "Tokens of prompts and of answers, all models together.", ["kind"], registry=known
        )
        self.dollars = Counter("tutelage_dollars", "What answers took, as far as prices are known.", registry=known)
        self.unpriced = Counter("tutelage_unpriced", "Answers whose price is not known.", registry=known)
        self.seconds = Histogram(
            "tutelage_request_seconds", "From a request to its last word.", registry=known, buckets=_SECONDS
        )
        self.first = Histogram(
            "tutelage_first_token_seconds", "From a request to its first word.", registry=known, buckets=_SECONDS
        )
        for outcome in ("answered", "failed", "refused", "left"):
            self.requests.labels(outcome)  # stands there as 0, so that the first one is seen as a rise
        Gauge("tutelage_waiting", "Requests that wait for the model.", registry=known).set_function(waiting)

    def shown(self) -> bytes:
        """The counts as Prometheus reads them."""
        return generate_latest(self._registry)

    def answered(self, reply: Reply, name: str) -> None:
        """Count an answer; `name` is whose it is where no solver says."""
        for speaker in [part.model for part in reply.parts if part.chosen] or [name]:
            self.answers.labels(speaker).inc()
        self.escalations.inc(reply.note.startswith(ESCALATED))
        self.alone.inc(reply.note.startswith(ALONE))
        self.tokens.labels("prompt").inc(reply.tokens_in)
        self.tokens.labels("completion").inc(reply.tokens_out)
        if reply.dollars is None:
            self.unpriced.inc()
        else:
            self.dollars.inc(float(Decimal(reply.dollars)))


class Watched:
    """The clock of one request, and what became of it, which is counted once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._begun = time.monotonic()
        self._heard = self._over = False

    def heard(self) -> None:
        """A word came."""
        if not self._heard:
            self._heard = True
            self._metrics.first.observe(time.monotonic() - self._begun)

    def ended(self, outcome: str) -> None:
        """It was answered, failed, or refused, or its client left."""
        if not self._over:
            self._over = True
            self._metrics.requests.labels(outcome).inc()
            if outcome == "answered":
                self._metrics.seconds.observe(time.monotonic() - self._begun)

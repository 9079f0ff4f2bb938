"""Numbers for Prometheus, read from the ledger at the moment of the scrape."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dispensed.devices.supervisor import USABLE, LinkState
from dispensed.ledger import counts
from dispensed.ledger.counts import Counts
from dispensed.model.dispensing import DispenseState
from dispensed.web.context import Web


async def render(web: Web) -> bytes:
    """Return the metrics in Prometheus' text format."""
    web.counts = await web.site.store.read(lambda tx: counts.update(tx, web.counts))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(web, web.counts))
    return generate_latest(registry)


class _Scrape(Collector):
    def __init__(self, web: Web, totals: Counts) -> None:
        self._web = web
        self._totals = totals

    def collect(self) -> Iterable[Metric]:
        yield from _ledger(self._totals)
        yield _devices(self._web.links())
        failing = GaugeMetricFamily(
            "dispensed_job_failing", "1 when the last run of the job failed", labels=["job"]
        )
        for name in self._web.job_names:
            failing.add_metric([name], int(name in self._web.jobs.failing))
        yield failing
        yield GaugeMetricFamily(
            "dispensed_store_read_only",
            "1 when the storage failed and nothing is written",
            value=int(self._web.site.store.read_only_reason is not None),
        )
        yield GaugeMetricFamily(
            "dispensed_event_streams", "Programs that follow live events", value=self._web.streams
        )


def _ledger(totals: Counts) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "dispensed_journal_head_id", "Id of the last movement", value=totals.last_movement
    )
    postings = CounterMetricFamily("dispensed_stock_postings", "Movements", labels=["kind"])
    for kind, count in sorted(totals.movements.items()):
        postings.add_metric([kind], count)
    yield postings
    messages = CounterMetricFamily(
        "dispensed_inbox_messages",
        "Device messages stored; kind garbage is noise on the wire",
        labels=["device", "kind"],
    )
    for (device, kind), count in sorted(totals.messages.items()):
        messages.add_metric([device, kind], count)
    yield messages
    yield GaugeMetricFamily(
        "dispensed_inbox_waiting", "Device messages not yet applied", value=totals.waiting
    )
    dispenses = GaugeMetricFamily("dispensed_dispenses", "Dispenses by state", labels=["state"])
    for state in DispenseState:
        dispenses.add_metric([state], totals.dispenses.get(state, 0))
    yield dispenses
    yield GaugeMetricFamily(
        "dispensed_discrepancies_open",
        "Open discrepancies",
        value=sum(totals.discrepancies.values()),
    )


def _devices(links: tuple[LinkState, ...]) -> Metric:
    up = GaugeMetricFamily(
        "dispensed_device_up",
        "1 when the device takes commands",
        labels=["device", "capability", "protocol"],
    )
    for link in links:
        labels = [link.device, link.capability, link.protocol]
        up.add_metric(labels, int(link.state in USABLE))
    return up

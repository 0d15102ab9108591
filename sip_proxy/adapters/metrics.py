"""Metrics in the Prometheus text format.

Everything is read when it is asked for: the exchange counts with plain integers and pays nothing for metrics.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sip_proxy.adapters.histogram import Histogram

CONTENT_TYPE = CONTENT_TYPE_LATEST


Read = Callable[[], float | Mapping[str, float]]
"""Reads one number, or one for each value of the label."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number, or one for each value of a label. A counter only grows."""

    name: str
    help: str
    is_counter: bool
    read: Read
    label: str | None

    @classmethod
    def gauge(cls, name: str, text: str, read: Read, label: str | None = None) -> "Measurement":
        """Describe something that goes up and down."""
        return cls(name, text, is_counter=False, read=read, label=label)

    @classmethod
    def counter(cls, name: str, text: str, read: Read, label: str | None = None) -> "Measurement":
        """Describe something that only grows."""
        return cls(name, text, is_counter=True, read=read, label=label)


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something takes."""

    name: str
    help: str
    histogram: Histogram

    def family(self) -> Metric:
        """Return it as it is now."""
        return HistogramMetricFamily(
            f"tollbell_{self.name}_seconds",
            self.help,
            buckets=self.histogram.cumulated(),
            sum_value=self.histogram.total_s,
        )


class Metrics(Collector):
    """Collects measurements when they are asked for."""

    def __init__(self, measurements: Iterable[Measurement | Duration]) -> None:
        self._measurements = tuple(measurements)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def collect(self) -> Iterable[Metric]:
        """Yield every measurement as it is now."""
        for measurement in self._measurements:
            if isinstance(measurement, Duration):
                yield measurement.family()
                continue
            family = CounterMetricFamily if measurement.is_counter else GaugeMetricFamily
            labels = [measurement.label] if measurement.label else []
            metric = family(f"tollbell_{measurement.name}", measurement.help, labels=labels)
            value = measurement.read()
            if isinstance(value, Mapping):
                for label, number in value.items():
                    metric.add_metric([label], number)
            else:
                metric.add_metric([], value)
            yield metric

    def text(self) -> bytes:
        """Return the exposition of everything."""
        return generate_latest(self._registry)

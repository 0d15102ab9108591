"""An exchange for real phones of other makes, with a billing service that notes the call records."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate, tls_settings
from tests.support.fake_billing import FakeBilling, running_fake_billing
from tests.support.proxy_process import ProxyProcess, running_proxy


@pytest.fixture
def billing() -> Iterator[FakeBilling]:
    """A billing service with two phone accounts."""
    with running_fake_billing() as billing:
        billing.add_account("0001", "secret1")
        billing.add_account("0002", "secret2")
        yield billing


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """The certificate of the exchange and its key."""
    return make_certificate(tmp_path / "tls")


@pytest.fixture
def proxy(tmp_path: Path, billing: FakeBilling, certificate: tuple[Path, Path]) -> Iterator[ProxyProcess]:
    """A running exchange, on UDP, TCP, TLS and WebSocket."""
    with running_proxy(tmp_path / "var", billing, **tls_settings(*certificate)) as proxy:
        yield proxy

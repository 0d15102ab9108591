"""How the service connects to PostgreSQL."""

import json
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url

from billing_service.errors import BadSetting
from billing_service.storage.patience import wait_with_patience

STATEMENT_TIMEOUT_MS = 30_000


def database_url_from(value: str) -> URL:
    """Read a database address as people write it (`postgresql://…`) and choose the driver.

    Raises BadSetting when it is not the address of a PostgreSQL database.
    """
    try:
        url = make_url(value)
    except Exception as error:
        raise BadSetting("it is not a database URL such as postgresql://user:password@host/name") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise BadSetting(f"only PostgreSQL is supported, not {url.get_backend_name()}")
    return url.set(drivername="postgresql+psycopg2")


def make_engine(url: URL, *, connections: int = 8) -> Engine:
    """Return an engine with a bounded pool whose connections are tested before use.

    So a restarted server costs nobody an error; how long one that hangs may cost, `patience` says.
    """
    wait_with_patience()
    return create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        # What a statement was given are people's names, calls and secrets: nothing for the log.
        hide_parameters=True,
        json_serializer=_to_json,
        # 1,000 records are one statement, not a thousand.
        insertmanyvalues_page_size=1000,
        connect_args={
            "application_name": "tollbell-billing",
            "keepalives_idle": 30,
            "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS}",
        },
    )


def _to_json(value: Any) -> str:
    # ASCII, so that any text that JSON can carry can be stored; never NaN, which is no JSON.
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))

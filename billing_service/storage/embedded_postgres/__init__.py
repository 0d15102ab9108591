"""PostgreSQL 18 of our own, from a Python wheel: where it lives, how it starts and how it stops.

It listens on nothing but a Unix socket in a directory that only its own user may enter, which is why it
trusts whoever connects. PostgreSQL refuses to run as root; started by root it gets a system user of its own.
"""

from billing_service.storage.embedded_postgres.location import (
    DATABASE,
    ROLE,
    database_url,
    server_directory,
    socket_directory,
)
from billing_service.storage.embedded_postgres.server import EmbeddedPostgres

__all__ = ["DATABASE", "ROLE", "EmbeddedPostgres", "database_url", "server_directory", "socket_directory"]

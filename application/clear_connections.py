"""Which addresses lead to another machine without TLS that proves who answers there.

What is spoken in the clear must stay on one machine: a socket, or the loopback interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from domain.errors import SettingInvalid

ALLOWED = "1"
"""The value of ``CASEKEEPER_CLEAR_NETWORK`` that lets connections in the clear lead to other machines."""


def complaint(variable: str) -> str:
    """Return what is the matter with the setting that names such an address, without the address."""
    lacks = "CASEKEEPER_KAFKA_PROTOCOL SSL or SASL_SSL" if variable == "CASEKEEPER_KAFKA" else "sslmode=verify-full"
    return f"{variable} leads to another machine without {lacks}"


def refusal(variable: str) -> SettingInvalid:
    """Return the error for a setting that names such an address where no network is said to be closed."""
    return SettingInvalid(f"{complaint(variable)}; only CASEKEEPER_CLEAR_NETWORK={ALLOWED} lets it")


def database_in_clear(dsn: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a connection string leads to another machine without ``sslmode=verify-full``.

    ``environ`` has libpq's own variables, which say where what the string leaves out leads. ``sslmode`` must stand in
    the string itself: programs such as pg_dump are not given those variables. One that cannot be read leads nowhere.
    """
    # The driver takes long to load, and most uses of the settings (--help) want no connection.
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    try:
        parts = dict(parse_dsn(dsn))
    except ProgrammingError:
        return False
    if parts.get("sslmode") == "verify-full":
        return False
    if parts.get("service", environ.get("PGSERVICE")):
        return True
    addresses = parts.get("hostaddr", environ.get("PGHOSTADDR", ""))
    names = parts.get("host", environ.get("PGHOST", ""))
    return not _stays_here(names, addresses)


def brokers_in_clear(servers: Iterable[str], protocol: str) -> bool:
    """Tell whether one of the brokers at ``host:port`` is on another machine and the protocol has no TLS."""
    return not protocol.endswith("SSL") and not all(is_loopback(_host(server)) for server in servers if server)


def is_loopback(host: str) -> bool:
    """Tell whether a host can only be this machine; a name other than ``localhost`` is taken for another machine."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _stays_here(names: str, addresses: str) -> bool:
    """Tell whether all servers of libpq's two lists are on this machine: each address, and the name where it is empty.

    Lists of different lengths, which libpq refuses, count as elsewhere: what they were meant to say is not known.
    """
    servers = (addresses or names).split(",")
    if names and addresses:
        by_name = names.split(",")
        if len(by_name) != len(servers):
            return False
        servers = [address or name for address, name in zip(servers, by_name, strict=True)]
    return all(_is_socket(server) or is_loopback(server) for server in servers)


def _is_socket(host: str) -> bool:
    return not host or host.startswith(("/", "@"))


def _host(server: str) -> str:
    """Return the host of ``host:port``; an IPv6 address without brackets is no host of this machine."""
    found = re.fullmatch(r"(?:\[([^]]+)]|([^:]+))(?::\d+)?", server.strip())
    return (found[1] or found[2]) if found else ""

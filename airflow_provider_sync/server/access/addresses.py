"""Determine the client address of a request, for limits and the log."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "unknown"
"""The address used if the socket has none."""


def client_address(host: str | None) -> str:
    """Return the address to count by: an IPv4 address, or the /64 network of an IPv6 address, which belongs to one customer.

    :param host: the client's address in the ASGI scope, or ``None``
    """
    address = exact_address(host)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def exact_address(host: str | None) -> Address | None:
    """Parse an address, unwrapping an IPv4-mapped IPv6 address; return ``None`` if it is no address, as for a Unix socket.

    :param host: the client's address in the ASGI scope; behind a trusted proxy, the address that the proxy reports
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    return address if isinstance(address, ipaddress.IPv4Address) else address.ipv4_mapped or address

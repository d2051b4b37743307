"""The address that a request counts under, in limits and in the log."""

from __future__ import annotations

import ipaddress

UNKNOWN = "unknown"
"""The address of a socket that has none."""


def client_address(host: str | None) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which belongs to one customer.

    :param host: the client's address in the ASGI scope, or ``None``
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address) if address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))

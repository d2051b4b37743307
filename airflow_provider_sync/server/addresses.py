"""Where a request comes from, as limits and logs have it."""

from __future__ import annotations

import ipaddress

UNKNOWN = "unknown"
"""Stands for an address that is not known, as that of a socket without one."""


def client_address(host: str | None) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which one customer has whole.

    :param host: as ASGI has it, ``None`` where there is none
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

"""The address that a request counts under, in limits and in the log."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "unknown"
"""The address of a socket that has none."""


def client_address(host: str | None) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which belongs to one customer.

    :param host: the client's address in the ASGI scope, or ``None``
    """
    address = exact_address(host)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def exact_address(host: str | None) -> Address | None:
    """Return an address as such, an IPv4 one also where IPv6 stands around it; ``None`` if it is none, as of a Unix socket.

    :param host: the client's address in the ASGI scope; where a proxy that the server trusts says it, that of its client
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    return address if isinstance(address, ipaddress.IPv4Address) else address.ipv4_mapped or address

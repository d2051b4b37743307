"""Open the socket on which a server listens, and check which machines can reach it."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import socket

from airflow_provider_sync.config import ServerConfig, ServerLimits
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.app import normal_prefix
from airflow_provider_sync.server.request_heads import LOCAL_HOSTS

log = logging.getLogger(__name__)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

_DESCRIPTORS_OF_A_REQUEST = 70
"""File descriptors of one request: a database connection, or the files that it sends."""

_DESCRIPTORS_BESIDE = 100


def listen(config: ServerConfig, host: str, port: int) -> socket.socket:
    """Open the socket.

    :param port: 0 for any free port
    :raises ConfigurationError: if other machines could reach a server without tokens, or the address cannot be used
    """
    if port not in range(65_536):
        raise ConfigurationError(f"Cannot listen on {host}:{port}: ports go from 1 to 65535. Give --port 0 for any free one.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        check_reach(config, host, str(address[0]))
        return socket.create_server((str(address[0]), port), family=family)
    except socket.gaierror as error:
        raise ConfigurationError(f"Cannot listen on {host}:{port}: {error.strerror}. Give an address of this machine.") from error
    except OSError as error:
        # The error's own text repeats the address.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {reason}. Give an address of this machine, and a free port, or 0 for any."
        ) from error


def check_reach(config: ServerConfig, host: str, address: str) -> None:
    """Refuse a server without tokens that other machines could reach.

    :param host: the configured host, for the message
    :param address: the address of the host
    """
    if not config.tokens and not ipaddress.ip_address(address).is_loopback:
        raise ConfigurationError(
            f"Without tokens everybody who reaches {host or address!r} could read the tables and files."
            f" Set tokens in the server's configuration ('airflow-sync token new' makes one), or listen on 127.0.0.1."
        )


def accepted_hosts(config: ServerConfig, host: str, listener: socket.socket) -> list[str] | None:
    """Return the ``Host`` names that a server without tokens accepts; ``None`` (all names) if there are tokens."""
    return None if config.tokens else [*LOCAL_HOSTS, host, listener.getsockname()[0]]


def url_of(config: ServerConfig, listener: socket.socket, host: str, prefix: str = "") -> str:
    """Return the base URL for clients."""
    address, port = listener.getsockname()[:2]
    name = host or address
    scheme = "http" if config.tls is None else "https"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}{normal_prefix(prefix)}"


def allow_descriptors(limits: ServerLimits) -> None:
    """Raise the limit of open files to what the server may need; log a warning if the system does not allow that many."""
    wanted = limits.connections + limits.requests * _DESCRIPTORS_OF_A_REQUEST + _DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        if most < wanted:
            # Without a free descriptor, a connection is closed without a response.
            log.warning(
                "limits.requests and limits.connections may need %d open files, and the system allows %d. Raise that"
                " (LimitNOFILE= of systemd, ulimit -n), or lower these.",
                wanted,
                most,
            )

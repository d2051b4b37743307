"""Assets of the scheme ``sync``: a table or directory that a server offers.

``sync://HOST[:PORT]/PATH-OF-THE-BASE-URL/tables/NAME``, or ``…/directories/NAME``; names are percent-encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow.providers.common.compat.sdk import Asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

Group = Literal["tables", "directories"]

SCHEME = "sync"
_GROUPS = ("tables", "directories")
# An asset does not say whether its server is reached by http or https.
_DEFAULT_PORTS = (80, 443)


def asset_uri(url: str, group: Group, name: str) -> str:
    """Return the URI of a table or directory that a server offers.

    :param url: base URL of the server, such as ``https://source.example/api/sync``
    :param name: the name under which it is offered
    """
    base = urlsplit(url)
    path = f"{base.path.rstrip('/')}/{group}/{quote(name, safe='')}"
    return sanitize_uri(SplitResult(SCHEME, base.netloc, path, "", "")).geturl()


def create_asset(
    *, url: str, table: str | None = None, directory: str | None = None, extra: dict[str, Any] | None = None
) -> Asset:
    """Make the asset of a table or of a directory.

    :param url: base URL of the server, such as ``https://source.example/api/sync``
    :raises ValueError: unless one of ``table`` and ``directory`` is given
    """
    if (table is None) == (directory is None):
        raise ValueError("Give a sync asset either a table or a directory.")
    uri = asset_uri(url, "tables", table) if table is not None else asset_uri(url, "directories", directory or "")
    return Asset(uri=uri, extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the one canonical form of the URI of a table or directory.

    Host names are in lower case; default ports and credentials are left out. Airflow calls this for each asset of the scheme.

    :raises ValueError: if it is not the URI of a table or directory
    """
    base, _, name = uri.path.rpartition("/")
    prefix, _, group = base.rpartition("/")
    if not uri.hostname or group not in _GROUPS or not name or uri.query:
        raise ValueError(
            f"{uri.geturl()!r} is no sync asset. Give sync://HOST/PATH/tables/NAME or sync://HOST/PATH/directories/NAME."
        )
    host = f"[{uri.hostname}]" if ":" in uri.hostname else uri.hostname
    port = "" if uri.port is None or uri.port in _DEFAULT_PORTS else f":{uri.port}"
    path = f"{prefix.rstrip('/')}/{group}/{quote(unquote(name), safe='')}"
    return SplitResult(SCHEME, f"{host}{port}", path, "", "")


def offered_name(uri: str) -> tuple[Group, str] | None:
    """Return the table or directory that an asset's URI names; ``None`` for URIs of other schemes."""
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        return None
    *_, group, name = parts.path.split("/")
    return ("tables" if group == "tables" else "directories"), unquote(name)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Return the OpenLineage dataset of an asset, in the namespace of its server."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=unquote(parts.path.lstrip("/")))

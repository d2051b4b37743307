"""``tls`` of ``server.yaml``: the files of a server that speaks TLS itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from airflow_provider_sync.config.options import Options, wrong_value


def _path(path: str, read: ValidationInfo) -> str:
    if not path.strip():
        raise wrong_value(f"{read.field_name} is empty. Give the path of a file in PEM format.")
    return path


PemFile = Annotated[str, AfterValidator(_path)]


class ServerTLS(Options, frozen=True):
    """The certificate that a server shows, and those that it wants to see. All files are in PEM format."""

    certificate: PemFile = Field(description="Path of the certificate; intermediate certificates follow it in the file.")
    key: PemFile | None = Field(
        default=None,
        description="Path of the certificate's private key, which others must not be able to read. Otherwise in the"
        " file of the certificate.",
    )
    client_authorities: PemFile | None = Field(
        default=None,
        description="Path of the certificates of authorities. With it, every client needs a certificate that one of them signed,"
        " besides its token.",
    )

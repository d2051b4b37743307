"""A client of an S3 server that leaves it to us to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3fs import S3FileSystem


@contextmanager
def impatient_client(url: str) -> Iterator[S3FileSystem]:
    """Give a client that sends each request once, until the end of the block.

    :param url: of the server
    """
    filesystem = S3FileSystem(
        key="testing",
        secret="testing",
        endpoint_url=url,
        skip_instance_cache=True,
        config_kwargs={"retries": {"max_attempts": 0}},
    )
    filesystem.retries = 1
    try:
        yield filesystem
    finally:
        S3FileSystem.close_session(filesystem.loop, filesystem.s3)

"""Decide which content is worth compressing, and compress it block by block."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.compression import BlockCompressor

_COMPRESSED = frozenset(
    {
        *("7z", "br", "bz2", "gz", "lz4", "lzma", "rar", "tbz2", "tgz", "txz", "xz", "zip", "zst"),
        *("apk", "deb", "docx", "epub", "jar", "odp", "ods", "odt", "pptx", "rpm", "whl", "xlsx"),
        *("avif", "gif", "heic", "jpeg", "jpg", "jxl", "png", "webp", "woff", "woff2"),
        *("aac", "avi", "flac", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "ogg", "opus", "webm"),
        *("orc", "parquet"),
    }
)
"""Suffixes of files whose content is already compressed."""

_TRIED_BYTES = 2048
_MIN_BYTES = 256
"""Minimum size, in bytes, of a block to compress."""

_WORTH_IT = 0.9

_SURE_AFTER = 16
"""Consecutive files of one kind without a gain after which only one in as many is tried."""


class BlockCompression:
    """Compresses the blocks of files, one file after the other."""

    def __init__(self) -> None:
        self._compress = BlockCompressor().compress
        self._refused: dict[str, int] = {}

    def is_worthwhile(self, path: str, first: bytes | memoryview) -> bool:
        """Tell whether to compress a file's blocks, by its name, its first bytes, and earlier files of its kind."""
        if len(first) < _MIN_BYTES:
            return False
        _, dot, ending = path.rpartition("/")[2].rpartition(".")
        kind = ending.lower() if dot else ""
        if kind in _COMPRESSED:
            return False
        refused = self._refused.get(kind, 0)
        # A trial takes a fifth of the time that it takes to read and digest a small file.
        if refused < _SURE_AFTER or refused % _SURE_AFTER == 0:
            tried = first[:_TRIED_BYTES]
            if len(self._compress(tried)) < _WORTH_IT * len(tried):
                self._refused[kind] = 0
                return True
        self._refused[kind] = refused + 1
        return False

    def compressed(self, block: bytes | memoryview) -> bytes | None:
        """Return a block as a frame, or ``None`` if that is not smaller."""
        frame = self._compress(block)
        return frame if len(frame) < _WORTH_IT * len(block) else None

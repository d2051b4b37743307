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
"""Ends of names whose content is compressed already."""

_TRIED_BYTES = 2048
_MIN_BYTES = 256
"""Fewer bytes are not worth a frame of their own."""

_WORTH_IT = 0.9


class BlockCompression:
    """Compresses the blocks of files, one file after the other."""

    def __init__(self) -> None:
        self._compress = BlockCompressor().compress

    def is_worthwhile(self, path: str, first: bytes) -> bool:
        """Decide by the name of a file and the beginning of its content whether its blocks shall be compressed."""
        if len(first) < _MIN_BYTES or path.rpartition(".")[2].lower() in _COMPRESSED:
            return False
        tried = first[:_TRIED_BYTES]
        return len(self._compress(tried)) < _WORTH_IT * len(tried)

    def compressed(self, block: bytes) -> bytes | None:
        """Return a block as a frame, or ``None`` if that is not smaller."""
        frame = self._compress(block)
        return frame if len(frame) < _WORTH_IT * len(block) else None

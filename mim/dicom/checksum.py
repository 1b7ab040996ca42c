"""The checksum that a file has from the moment it arrives."""

from pathlib import Path

import xxhash

BLOCK = 1 << 20


def file_checksum(path: Path) -> str:
    """xxh3_64 of the file's bytes, sixteen hexadecimal digits."""
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()

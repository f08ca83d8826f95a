"""The first look at an HDF5 file: its signature and its length, without libhdf5.

The layout of the superblock is in the HDF5 File Format Specification, version 3.0, section II.A.
"""

from __future__ import annotations

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAD = 96
_UNDEFINED = b"\xff"


def check_hdf5(head: bytes, size: int) -> None:
    """Check that the start of a file is an HDF5 superblock and that the file is as long as it says.

    Args:
        head: The first `HEAD` bytes (fewer if the file is shorter).
        size: Length of the whole file, in bytes.

    Raises:
        ValueError: If it is not HDF5, is of an unknown version, or was cut off; the text says which.
    """
    if not head.startswith(SIGNATURE):
        raise ValueError("not an HDF5 file: it does not start with the HDF5 signature")
    if len(head) <= len(SIGNATURE):
        raise ValueError("an HDF5 file that ends after its signature")
    end = _end_of_file(head)
    if end > size:
        raise ValueError(f"truncated: its header says {end:,} bytes, there are {size:,}")


def _end_of_file(head: bytes) -> int:
    """Return the end-of-file address that the superblock states."""
    version = head[8]
    if version in (0, 1):
        width, first = head[13:14], 24 if version == 0 else 28
        skipped = 2  # base address, free-space address
    elif version in (2, 3):
        width, first = head[9:10], 12
        skipped = 2  # base address, superblock extension address
    else:
        raise ValueError(f"an HDF5 superblock of unknown version {version}")
    bytes_wide = int.from_bytes(width, "little")
    if bytes_wide not in (2, 4, 8, 16):
        raise ValueError(f"an HDF5 superblock with addresses of {bytes_wide} bytes")
    start = first + skipped * bytes_wide
    address = head[start : start + bytes_wide]
    if len(address) < bytes_wide:
        raise ValueError("an HDF5 file that ends within its superblock")
    if address == _UNDEFINED * bytes_wide:
        raise ValueError("an HDF5 superblock without an end-of-file address")
    return int.from_bytes(address, "little")

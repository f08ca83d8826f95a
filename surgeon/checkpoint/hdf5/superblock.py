"""The first look at an HDF5 file: its signature and its length, without libhdf5.

The layout of the superblock is in the HDF5 File Format Specification, version 3.0, section II.A.
"""

from __future__ import annotations

from surgeon.checkpoint.hdf5.window import UNDEFINED

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


def root_address(head: bytes) -> tuple[int, int]:
    """Return `(version of the superblock, address of the root group's header)`.

    Args:
        head: The first `HEAD` bytes, which `check_hdf5` has let pass.

    Raises:
        ValueError: If the file needs another file, or is laid out in a way that Keras does not use.
    """
    version = head[8]
    widths = head[13:15] if version < 2 else head[9:11]
    if widths != b"\x08\x08":
        raise ValueError("HDF5 with addresses that are not 8 bytes wide, which Keras does not write")
    fields = {0: (24, 48, 64), 1: (28, 52, 68), 2: (12, 20, 36), 3: (12, 20, 36)}
    base, other, root = (int.from_bytes(head[at : at + 8], "little") for at in fields[version])
    if base != 0:
        raise ValueError("HDF5 that does not start at the start of the file")
    if other != UNDEFINED:
        raise ValueError("HDF5 with a driver or an extension of its superblock: it may lie in several files")
    return version, root

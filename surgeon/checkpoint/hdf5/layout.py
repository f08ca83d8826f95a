"""The walk over an HDF5 file: every group and dataset, and where its bytes lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.hdf5.groups import read_links
from surgeon.checkpoint.hdf5.heap import read_texts
from surgeon.checkpoint.hdf5.messages import (
    Attribute,
    Message,
    Place,
    read_attribute,
    read_messages,
    read_place,
    read_shape,
    read_type,
)
from surgeon.checkpoint.hdf5.superblock import HEAD, check_hdf5, root_address
from surgeon.checkpoint.hdf5.window import UNDEFINED, Window


@dataclass(frozen=True, slots=True)
class Dataset:
    """One array.

    Attributes:
        path: `layers/dense/vars/0`.
        shape: Its shape.
        dtype: As numpy writes it.
        size: Bytes.
        offset: Of the first byte in the file; `None` if the bytes do not lie in one piece.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    offset: int | None

    @property
    def end(self) -> int:
        """Where the bytes end."""
        return (self.offset or 0) + self.size


@dataclass(frozen=True)
class Layout:
    """What there is in an HDF5 file.

    Attributes:
        datasets: Every array by path, in the order of their bytes.
        texts: Text attributes of the root group (a legacy checkpoint keeps its model there), by name.
        groups: Paths of the groups, the root's (`""`) first.
    """

    datasets: Mapping[str, Dataset]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """Elements of all arrays together."""
        return sum(math.prod(dataset.shape) for dataset in self.datasets.values())


def read_layout(window: Window, budgets: Budgets, *, with_texts: bool = False) -> Layout:
    """Read the layout of an HDF5 file.

    Args:
        window: The file.
        budgets: How many objects there may be, how deep, and how many bytes arrays may declare.
        with_texts: Whether text attributes of the root are wanted.

    Raises:
        ValueError: With the object at fault and the reason.
    """
    head = window.read(0, min(HEAD, window.size))
    check_hdf5(head, window.size)
    _, root = root_address(head)
    return _Walk(window, budgets).run(root, with_texts=with_texts)


class _Walk:
    def __init__(self, window: Window, budgets: Budgets) -> None:
        self._window, self._budgets = window, budgets
        self._seen: set[int] = set()
        self._declared = 0

    def run(self, root: int, *, with_texts: bool) -> Layout:
        datasets: list[Dataset] = []
        groups: list[str] = []
        texts: dict[str, tuple[str, ...]] = {}
        waiting = [("", root, 0)]
        while waiting:
            path, address, depth = waiting.pop()
            try:
                messages = self._visit(address, depth)
                kinds = {kind for kind, _ in messages}
                self._check_attributes(messages)
                if Message.LAYOUT in kinds or Message.DATATYPE in kinds:
                    datasets.append(self._dataset(path, messages))
                    continue
                groups.append(path)
                if not path and with_texts:
                    texts = self._texts(messages)
                found = list(read_links(self._window, messages))
            except ValueError as error:
                raise ValueError(f"{path or '/'}: {error}") from error
            names = {name for name, _ in found}
            if len(names) != len(found):
                raise ValueError(f"{path or '/'}: two objects of one name")
            lead = f"{path}/" if path else ""
            waiting += [(lead + name, header, depth + 1) for name, header in reversed(found)]
        datasets.sort(key=lambda dataset: (dataset.offset or 0, dataset.end))
        self._check_overlap(datasets)
        return Layout({dataset.path: dataset for dataset in datasets}, texts, tuple(groups))

    def _visit(self, address: int, depth: int) -> list[tuple[int, bytes]]:
        if address in self._seen:
            raise ValueError("a second hard link to an object, or a cycle of them; Keras writes none")
        self._seen.add(address)
        if len(self._seen) > self._budgets.objects:
            raise ValueError(f"more than the {self._budgets.objects:,} objects allowed")
        if depth > self._budgets.groups_depth:
            raise ValueError(f"groups deeper than the {self._budgets.groups_depth} levels allowed")
        return read_messages(self._window, address)

    def _check_attributes(self, messages: list[tuple[int, bytes]]) -> None:
        for kind, body in messages:
            if kind == Message.EXTERNAL:
                raise ValueError("its values lie in other files (external storage)")
            if kind == Message.ATTRIBUTE_INFO:
                start = 2 + (2 if body[1:2] and body[1] & 1 else 0)
                if int.from_bytes(body[start : start + 8].ljust(8, b"\xff"), "little") != UNDEFINED:
                    raise ValueError("HDF5 with attributes in a fractal heap, which Keras does not write")

    def _dataset(self, path: str, messages: list[tuple[int, bytes]]) -> Dataset:
        said = dict(messages)
        missing = {Message.DATASPACE, Message.DATATYPE, Message.LAYOUT} - said.keys()
        if missing:
            raise ValueError(f"damaged HDF5: an array without {', '.join(m.name.lower() for m in missing)}")
        element = read_type(said[Message.DATATYPE])
        if not element.is_number:
            raise ValueError(f"an array of {element.name} values ({element.size} bytes each), not of numbers")
        shape = read_shape(said[Message.DATASPACE])
        if shape is None:
            raise ValueError("an array without a shape")
        size = element.size * math.prod(shape)
        place = read_place(said[Message.LAYOUT])
        offset = self._offset(place, size, is_packed=Message.FILTERS in said)
        return Dataset(path, shape, element.name, size, offset)

    def _offset(self, place: Place, size: int, *, is_packed: bool) -> int | None:
        """Check that as many bytes are stored as are declared, before anybody makes room for them."""
        self._declared += size
        if place.kind == "chunked" or is_packed:
            allowed = self._budgets.expanded(self._window.size)
            if self._declared > allowed:
                raise ValueError(
                    f"arrays that unpack to {self._declared:,} bytes, more than the {allowed:,} allowed for "
                    f"a file of {self._window.size:,}"
                )
            return None
        if place.kind == "compact":
            if place.size != size:
                raise ValueError(f"declares {size:,} bytes and stores {place.size:,}")
            return None
        if size == 0:
            return None if place.address == UNDEFINED else min(place.address, self._window.size)
        if place.address == UNDEFINED or place.size != size:
            stored = 0 if place.address == UNDEFINED else place.size
            raise ValueError(f"declares {size:,} bytes and stores {stored:,}")
        if place.address + size > self._window.size:
            raise ValueError(f"declares {size:,} bytes, which reach beyond the end of the file")
        return place.address

    def _check_overlap(self, ordered: list[Dataset]) -> None:
        solid = [dataset for dataset in ordered if dataset.offset is not None and dataset.size]
        for one, other in itertools.pairwise(solid):
            if other.offset is not None and other.offset < one.end:
                raise ValueError(f"{one.path} and {other.path} lie on the same bytes")
        if solid and (solid[0].offset or 0) < HEAD // 2:
            raise ValueError(f"{solid[0].path} lies on the start of the file")

    def _texts(self, messages: list[tuple[int, bytes]]) -> dict[str, tuple[str, ...]]:
        found: list[Attribute] = [
            read_attribute(body) for kind, body in messages if kind == Message.ATTRIBUTE
        ]
        longest = self._budgets.json_size
        return {
            each.name: tuple(read_texts(self._window, each, longest))
            for each in found
            if each.type.name == "text"
        }

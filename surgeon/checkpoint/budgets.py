"""How much a checkpoint may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of the front door. All sizes are bytes.

    Attributes:
        members: Members in one archive.
        json_size: Size of one JSON member. The configs of keras.applications are below 2 MiB.
        json_depth: Brackets open at once in a JSON member; each level of nesting of models adds about five.
        expansion: How many times an archive's own size its members may expand to; Keras itself stores
            them as they are.
        expansion_floor: What an archive may expand to in any case.
        assets: Size of all assets together (vocabularies and the like).
        objects: Groups and arrays in one HDF5 file; a tenth of a second for each 5,000 of them.
        groups_depth: Levels of HDF5 groups.
        description: Bytes of an HDF5 file that describe its arrays.
        positions: Elements that one input of a model may declare.
    """

    members: int = 10_000
    json_size: int = 64 * MIB
    json_depth: int = 200
    expansion: int = 20
    expansion_floor: int = 64 * MIB
    assets: int = 512 * MIB
    objects: int = 100_000
    groups_depth: int = 64
    description: int = 256 * MIB
    positions: int = 1 << 28

    def expanded(self, file_size: int) -> int:
        """Return how many bytes the members of an archive of `file_size` may expand to."""
        return max(self.expansion_floor, self.expansion * file_size)


DEFAULT = Budgets()

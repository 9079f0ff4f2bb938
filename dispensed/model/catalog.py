"""Items, lots and places: what is kept, in which batch, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from dispensed.errors import Invalid
from dispensed.model.ndc import check_gtin14, ndc10_of_gtin, parse_ndc
from dispensed.model.quantity import Quantity, Unit, check_milli

ID_LENGTH_MAX = 64
"""Longest item id, lot number and location id."""

_NDC11_LENGTH = 11


class CatalogError(Invalid):
    """An item, lot or location that contradicts itself."""

    code: ClassVar[str] = "bad_catalog_entry"


class Schedule(StrEnum):
    """DEA schedule of a drug. Source: 21 CFR 1308.11-1308.15; schedule I has no pharmacy stock."""

    NONE = "none"
    CII = "CII"
    CIII = "CIII"
    CIV = "CIV"
    CV = "CV"

    @property
    def is_controlled(self) -> bool:
        """Whether the drug is a controlled substance: stricter counts, waste with a witness."""
        return self is not Schedule.NONE


class Storage(StrEnum):
    """Storage class a product asks for."""

    ROOM = "room"
    REFRIGERATED = "refrigerated"
    FROZEN = "frozen"


class LotState(StrEnum):
    """What a person or a recall decided about a lot; expired is derived, never stored."""

    QUARANTINE = "quarantine"
    RELEASED = "released"
    HOLD = "hold"
    RECALLED = "recalled"
    DAMAGED = "damaged"


class ExpirySource(StrEnum):
    """How the expiry of a lot became known. UNKNOWN goes with no date, and blocks the lot.

    COMPUTED is the beyond-use date of a lot that was made here, by repacking or a return to stock.
    """

    SCANNED = "scanned"
    TYPED = "typed"
    ASN = "asn"
    DEVICE = "device"
    COMPUTED = "computed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Item:
    """One package-level product.

    `item_id` is the NDC-11 for US products, else the GTIN-14. `pack_milli` is the content of one
    full pack in thousandths of `unit`. Piece weights are micrograms: the mean of one piece and its
    standard deviation.
    """

    item_id: str
    name: str
    strength: str
    form: str
    labeler: str
    unit: Unit
    pack_milli: int
    gtin: str | None = None
    ndc: str | None = None
    schedule: Schedule = Schedule.NONE
    storage: Storage = Storage.ROOM
    piece_weight_ug: int | None = None
    piece_weight_sd_ug: int | None = None
    hazardous: bool = False
    high_alert: bool = False

    def __post_init__(self) -> None:
        check_id(self.item_id, "item id")
        if not self.name.strip():
            raise CatalogError(f"item {self.item_id} has no name")
        check_milli(self.pack_milli)
        if self.pack_milli == 0:
            raise CatalogError(f"item {self.item_id} has an empty pack")
        self._check_codes()
        self._check_piece_weight()

    @property
    def pack(self) -> Quantity:
        """The content of one full pack."""
        return Quantity(self.unit, self.pack_milli)

    def _check_codes(self) -> None:
        ndc = parse_ndc(self.ndc) if self.ndc is not None else None
        is_ndc11 = len(self.item_id) == _NDC11_LENGTH and self.item_id.isdecimal()
        if ndc is not None and is_ndc11 and ndc.ndc11 != self.item_id:
            raise CatalogError(f"item {self.item_id} is not NDC {ndc} ({ndc.ndc11})")
        if self.gtin is None:
            return
        check_gtin14(self.gtin)
        inner = ndc10_of_gtin(self.gtin)
        if ndc is not None and inner is not None and inner != ndc.ndc10:
            raise CatalogError(f"GTIN {self.gtin} holds NDC {inner}, item {self.item_id} is {ndc}")

    def _check_piece_weight(self) -> None:
        mean, spread = self.piece_weight_ug, self.piece_weight_sd_ug
        if mean is None and spread is None:
            return
        if mean is None or spread is None:
            raise CatalogError(f"item {self.item_id}: piece weight and its spread go together")
        if self.unit is not Unit.EA:
            raise CatalogError(f"item {self.item_id} in {self.unit} has no pieces to weigh")
        if not 0 <= spread < mean:
            raise CatalogError(
                f"item {self.item_id}: piece weight {mean} ug with spread {spread} ug"
            )


@dataclass(frozen=True, slots=True)
class Lot:
    """One manufacturer's batch of one item; `expiry` is the last day of use, None when unknown."""

    item_id: str
    lot: str
    expiry: date | None
    expiry_source: ExpirySource
    state: LotState

    def __post_init__(self) -> None:
        check_id(self.item_id, "item id")
        check_id(self.lot, "lot number")
        if (self.expiry is None) != (self.expiry_source is ExpirySource.UNKNOWN):
            raise CatalogError(
                f"lot {self.lot} of {self.item_id}: expiry {self.expiry} {self.expiry_source}"
            )


class LocationKind(StrEnum):
    """What a location is. SITE and AREA only group; the external kinds are accounts, not places."""

    SITE = "site"
    AREA = "area"
    BIN = "bin"
    RECEIVING = "receiving"
    DEVICE = "device"
    FILL = "fill"
    IN_HAND = "in-hand"
    REJECTS = "rejects"
    OUTDATE = "outdate"
    SUPPLIER = "supplier"
    DISPENSED = "dispensed"
    WASTE = "waste"
    LOSS = "loss"
    FOUND = "found"
    DESTRUCTION = "destruction"
    REVERSE_DISTRIBUTOR = "reverse-distributor"
    IN_TRANSIT = "in-transit"
    OPENING = "opening"
    REPACK = "repack"
    SAMPLE = "sample"

    @property
    def holds_stock(self) -> bool:
        """Whether this is a place in the pharmacy where stock can lie."""
        return self in PLACE_KINDS

    @property
    def is_external(self) -> bool:
        """Whether this is an account outside the pharmacy; its balance may be negative."""
        return self in EXTERNAL.values()


PLACE_KINDS = frozenset(
    {
        LocationKind.BIN,
        LocationKind.RECEIVING,
        LocationKind.DEVICE,
        LocationKind.FILL,
        LocationKind.IN_HAND,
        LocationKind.REJECTS,
        LocationKind.OUTDATE,
    }
)
"""Kinds of location that hold the pharmacy's stock."""

EXTERNAL: Mapping[str, LocationKind] = MappingProxyType(
    {
        "ext:supplier": LocationKind.SUPPLIER,
        "ext:dispensed": LocationKind.DISPENSED,
        "ext:waste": LocationKind.WASTE,
        "ext:loss": LocationKind.LOSS,
        "ext:found": LocationKind.FOUND,
        "ext:destruction": LocationKind.DESTRUCTION,
        "ext:reverse-distributor": LocationKind.REVERSE_DISTRIBUTOR,
        "ext:in-transit": LocationKind.IN_TRANSIT,
        "ext:opening": LocationKind.OPENING,
        "ext:repack": LocationKind.REPACK,
        "ext:sample": LocationKind.SAMPLE,
    }
)
"""The external accounts by location id; each exists once."""


@dataclass(frozen=True, slots=True)
class Location:
    """A node of the tree of places, or an external account; `device` is set for DEVICE only."""

    location_id: str
    kind: LocationKind
    parent: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_id(self.location_id, "location id")
        if EXTERNAL.get(self.location_id, self.kind) is not self.kind or (
            self.kind.is_external and self.location_id not in EXTERNAL
        ):
            raise CatalogError(f"location {self.location_id} cannot be of kind {self.kind}")
        if (self.kind is LocationKind.DEVICE) != (self.device is not None):
            raise CatalogError(
                f"location {self.location_id}: kind {self.kind}, device {self.device}"
            )
        if self.parent == self.location_id:
            raise CatalogError(f"location {self.location_id} is its own parent")


def check_id(text: str, what: str) -> str:
    """Return `text` if it is 1 to ID_LENGTH_MAX printable characters without outer blanks."""
    if not text or len(text) > ID_LENGTH_MAX or not text.isprintable() or text != text.strip():
        raise CatalogError(f"not a {what}: {text[:80]!r}")
    return text

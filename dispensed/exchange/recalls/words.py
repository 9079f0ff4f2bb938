"""The words of recall notices, by what they say about the codes after them."""

from enum import StrEnum


class Sense(StrEnum):
    """What a word announces."""

    LOT = "lot"
    EXPIRY = "expiry"
    OTHER_DATE = "other date"
    FILLER = "filler"
    AND = "and"
    RANGE = "range"
    PART = "part"
    NOT = "not"
    SUFFIX = "suffix"
    OTHER_ID = "other id"
    SERIAL = "serial"


_LISTS: dict[Sense, str] = {
    Sense.LOT: (
        "lot lots lott lotno lotnumber lotnumbers lotcode batch batches batchno btch control ctrl"
    ),
    Sense.EXPIRY: (
        "exp exps expiry expirys expiries expire expires expired expiration expirations expiring "
        "expriation exipration exipiration expo "
        "exo bbe expirations expiraton expirary exo xp ep ex expy expdate expirydate bud buds "
        "discard beyond bef ed ub budl"
    ),
    Sense.OTHER_DATE: (
        "mfg mfd mfr manufactured manufacture manufacturing made compounded compounding dispensed "
        "distributed distribution shipped shipment sold dom reassay retest released produced "
        "production filled prepared purchased received packaged repackaged packed added "
        "updated revised repackaging"
    ),
    Sense.FILLER: (
        "no nos num number numbers numer numbes numbers s code codes date dates by of on the is "
        "are a an includes include including following listed below recalled affected product "
        "products bulk tray vial kit inclusive also additional more individual "
        "respectively both each with within used before after best if do not for in as has have "
        "dated label labeled labelled unknown none na n all any entire "
    ),
    Sense.AND: "and or plus",
    Sense.RANGE: "to through thru until between from",
    Sense.PART: (
        "begin begins beginning start starts starting end ends ending prefix prefixed suffix "
        "containing"
    ),
    Sense.NOT: "except excluding excludes exclude excluded excepting",
    Sense.SUFFIX: "followed preceded proceeded",
    Sense.OTHER_ID: "sku skus upc upcs gtin gtins catalog",
    Sense.SERIAL: "serial serials sn",
}
SENSES: dict[str, Sense] = {
    word: sense for sense, words in _LISTS.items() for word in words.split()
}
"""The sense of each known word; every other word is part of a heading or of prose."""

PACKS = frozenset({"tray", "vial", "kit", "bulk"})
"""Words that tell products apart where they stand alone in brackets."""

OF_NOTICE = frozenset({"added", "updated", "revised"})
"""Words of the notice itself; without a date after them they say nothing."""

USE_WORDS = frozenset({"use", "used", "best", "sell"})
"""Words that mean an expiry when `by` or `before` follows."""

OTHER_MAKER = frozenset({"original", "parent", "mother", "vendor", "supplier", "component"})
"""Words before `lot` that make it the lot of something else than the recalled product."""

NOTHING = frozenset({"none", "na", "unknown", "not", "n"})
"""Words after `expiry` that say there is none."""

_UNIT_NAMES: dict[str, str] = {
    "count": "count ct cnt counts cts",
    "mg": "mg mgs milligram milligrams",
    "mcg": "mcg ug mcgs microgram micrograms",
    "ml": "ml mls milliliter milliliters cc",
    "l": "l liter liters litre",
    "g": "g gm gms gram grams grms",
    "kg": "kg kilogram kilograms",
    "oz": "oz ounce ounces floz",
    "fl": "fl",
    "lb": "lb lbs pound pounds",
    "gallon": "gallon gallons gal",
    "unit": "unit units iu",
    "meq": "meq mmol",
    "tablet": "tablet tablets tab tabs",
    "capsule": "capsule capsules cap caps",
    "caplet": "caplet caplets",
    "bottle": "bottle bottles btl btls",
    "carton": "carton cartons",
    "box": "box boxes bx",
    "case": "case cases cs",
    "vial": "vial vials",
    "syringe": "syringe syringes",
    "bag": "bag bags",
    "pack": "pack packs pk pkg pouch pouches",
    "patch": "patch patches",
    "tube": "tube tubes",
    "jar": "jar jars",
    "drum": "drum drums",
    "kit": "kits",
    "blister": "blister blisters",
    "dose": "dose doses",
    "percent": "% percent",
    "mm": "mm cm inch",
    "year": "year years day days hour hours hr hrs month months",
    "x": "x",
    "wipe": "wipes swab swabs pads pad towelettes piece pieces pcs pills softgels lozenges",
}
UNITS: dict[str, str] = {
    word: unit for unit, words in _UNIT_NAMES.items() for word in words.split()
}
"""Units and containers after a number, by every way they are written."""

_IDLE = (
    "the and for with only usp rx per each packaged distributed manufactured made from inc llc ltd "
    "corp company pharmaceuticals pharmacy laboratories labs ndc upc lot exp all not use day item"
)
IDLE = frozenset(_IDLE.split())
"""Words that do not tell one product of a notice from another."""

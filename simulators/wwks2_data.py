"""What the simulated robot's control commands say, and its packs as WWKS2 elements."""

import json
from dataclasses import replace
from datetime import date

from drivers.wwks2 import messages as wire
from simulators.wwks2_store import StoredPack


def pack_data(pack: StoredPack) -> wire.PackData:
    """Return a stored pack as a `Pack` element."""
    return wire.PackData(
        id=pack.id,
        batch=pack.batch,
        expiry=pack.expiry,
        sub_items=pack.units,
        scan_code=pack.scan_code,
        serial=pack.serial,
        external_id=pack.external_id,
        depth=60,
        width=40,
        height=30,
    )


def articles_of(packs: list[StoredPack], details: wire.OutputDetails) -> tuple[wire.Article, ...]:
    """Return packs that left as `Article` elements, one for each article."""
    by_article: dict[str, list[wire.PackData]] = {}
    for pack in packs:
        data = replace(pack_data(pack), output_destination=details.destination)
        by_article.setdefault(pack.article, []).append(data)
    return tuple(wire.Article(id=key, packs=tuple(group)) for key, group in by_article.items())


def pack_of(item: dict[str, object]) -> StoredPack:
    """Return the pack that a control command describes."""
    article = text(item, "article")
    if not article:
        raise ValueError("a pack needs an article")
    return StoredPack(0, article, text(item, "batch"), day(item, "expiry"), whole(item, "units", 0))


def parse_object(value: str) -> dict[str, object]:
    """Return the JSON object of a control command."""
    item = json.loads(value)
    if not isinstance(item, dict):
        raise ValueError("a JSON object was expected")  # noqa: TRY004 - bad input is a ValueError
    return item


def parse_list(value: str) -> list[dict[str, object]]:
    """Return the JSON list of objects of a control command."""
    items = json.loads(value)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("a JSON list of objects was expected")
    return items


def text(item: dict[str, object], name: str) -> str:
    """Return a text of a control command, "" when missing."""
    value = item.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {value!r}")  # noqa: TRY004 - as above
    return value


def whole(item: dict[str, object], name: str, default: int) -> int:
    """Return a whole number of a control command."""
    value = item.get(name, default)
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return value


def day(item: dict[str, object], name: str) -> date | None:
    """Return a date of a control command, None when missing."""
    written = text(item, name)
    return date.fromisoformat(written) if written else None

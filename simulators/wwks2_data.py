"""What the simulated robot's control commands say, and its packs as WWKS2 elements."""

import json
from dataclasses import replace
from datetime import date

from drivers.wwks2 import messages as wire
from drivers.wwks2.markup import Element, render
from simulators.wwks2_store import Job, StoredPack

FAULTS = (
    "jam",  # half of the packs of the next order come out: Incomplete
    "not_ready",  # NotReady, outputs are rejected
    "door_open",  # NotReady, outputs are rejected and a running one stands still
    "cut_output",  # all packs of the next order come out, then every connection drops: no message
    "lost_message",  # the OutputMessage of the next order is never sent
    "damaged_message",  # the OutputMessage of the next order has an expiry date that is none
    "box_released",  # the next order reports its first packs with BoxReleased
    "reject",  # the next OutputRequest is rejected
    "too_many",  # the next request is not processed: TooManyRequests
    "forgetful",  # no order is known when asked for
    "label_error",  # the next label cannot be printed
    "wrong_exit",  # the next pack goes to the next destination
    "input_broken",  # the next pack that is allowed in is not stored: InputBroken
    "no_space",  # the next pack that is allowed in is not stored: NoSpaceInMachine
)
SETTINGS = (
    "stock",  # JSON: [{"article", "batch", "expiry", "packs", "units", "full_units"}, ...]
    "input",  # JSON: {"scan_code", "batch", "expiry", "units", "typed_batch", "typed_expiry"}
    "manual_output",  # JSON: {"article", "packs", "batch"}
    "update",  # JSON: {"pack", "batch", "expiry"}: the robot corrects the data of a pack
    "vanish",  # article: a pack is gone without a word
    "output_s",  # simulated seconds for one order
    "hello_s",  # simulated seconds until a silent connection is closed
    "input_s",  # simulated seconds that it waits for an InputResponse
    "locations",  # JSON: [{"id", "description"}, ...]
    "autonomous",  # 1: store by articles and deliveries, without asking
    "boxes",  # 1: a box filler stands behind the output
    "dialect",  # classic: TaskInfo, TaskCancel; modern: OutputInfo, TaskCancelOutput; none
)


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
        delivery=pack.delivery,
        stock_in=pack.stock_in,
        in_fridge=pack.in_fridge,
        stock_location=pack.stock_location,
        machine_location=pack.machine_location,
        depth=60,
        width=40,
        height=30,
    )


def articles_of(job: Job) -> tuple[wire.Article, ...]:
    """Return packs that left as `Article` elements, one for each article."""
    by_article: dict[str, list[wire.PackData]] = {}
    for pack in job.left:
        data = replace(
            pack_data(pack),
            state="Available",  # outputs do not tell it (§6.8.3)
            output_destination=job.details.destination + (pack.id in job.strayed),
            output_point=job.details.point,
            label_status=job.labels.get(pack.id, ""),
            box=job.boxes[0] if job.boxes else "",
        )
        by_article.setdefault(pack.article, []).append(data)
    return tuple(wire.Article(id=key, packs=tuple(group)) for key, group in by_article.items())


def pack_of(item: dict[str, object]) -> StoredPack:
    """Return the pack that a control command describes."""
    article = text(item, "article")
    if not article:
        raise ValueError("a pack needs an article")
    return StoredPack(
        0,
        article,
        text(item, "batch"),
        day(item, "expiry"),
        whole(item, "units", 0),
        stock_location=text(item, "location"),
        machine_location=text(item, "machine"),
    )


def belt_pack(item: dict[str, object]) -> wire.PackData:
    """Return the pack that a control command puts on the belt."""
    return wire.PackData(
        scan_code=text(item, "scan_code"),
        batch=text(item, "batch"),
        expiry=day(item, "expiry"),
        sub_items=whole(item, "units", 0),
        delivery=text(item, "delivery"),
        serial=text(item, "serial"),
        external_id=text(item, "external_id"),
        stock_location=text(item, "location"),
        machine_location=text(item, "machine"),
    )


def result_of(rejection: str) -> tuple[str, str]:
    """Return value and text of a SetResult."""
    return ("Rejected", rejection) if rejection else ("Accepted", "")


def configuration_of(values: dict[str, str]) -> str:
    """Return settings in the form of the manual's example (§6.11.2)."""
    return "".join(
        render(Element("ConfigurationValue", {"Name": name, "Value": value}))
        for name, value in values.items()
    )


def switched(name: str, value: str) -> bool:
    """Return whether a setting is on."""
    if value not in {"0", "1"}:
        raise ValueError(f"setting {name!r}: {value!r} is neither 0 nor 1")
    return value == "1"


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

"""XML elements to WWKS2 messages. Pure.

Source: WWKS 2 Reference Manual V6.0 §6, one section per message. Unknown attributes and elements
are ignored; a number, date or boolean that is none raises ProtocolError.
"""

from collections.abc import Callable
from dataclasses import replace

from drivers.errors import ProtocolError
from drivers.wwks2 import messages as wire
from drivers.wwks2.markup import INT64, SIGNED32, Element, render


def read(lead: Element) -> wire.Message:
    """Return the message of a lead element; raises ProtocolError when it is not one."""
    decoder = _DECODERS.get(lead.tag)
    if decoder is None:
        return wire.UnknownMessage(*_address(lead), kind=lead.tag)
    return decoder(lead)


def _id(lead: Element) -> str:
    message_id = lead.string("Id")
    if not message_id:
        raise ProtocolError(f"{lead.tag} without an Id")
    return message_id


def _address(lead: Element) -> tuple[str, int, int]:
    return _id(lead), lead.integer("Source"), lead.integer("Destination")


def _optional_address(lead: Element) -> tuple[str, int, int]:
    """As `_address`, where the manual lets all of it be left out (§6.6.1)."""
    return lead.string("Id"), lead.integer("Source"), lead.integer("Destination")


def _subscriber(lead: Element) -> wire.Subscriber:
    found = lead.first("Subscriber")
    return wire.Subscriber(
        id=found.integer("Id"),
        type=found.string("Type"),
        manufacturer=found.string("Manufacturer"),
        product=found.string("ProductInfo"),
        version=found.string("VersionInfo"),
        tenant=found.string("TenantId"),
        capabilities=tuple(each.string("Name") for each in found.all("Capability")),
    )


def _read_status(lead: Element) -> wire.StatusResponse:
    components = tuple(
        wire.Component(
            type=each.string("Type"),
            description=each.string("Description"),
            state=each.string("State"),
            text=each.string("StateText"),
        )
        for each in lead.all("Component")
    )
    return wire.StatusResponse(
        *_address(lead),
        state=lead.string("State"),
        text=lead.string("StateText"),
        components=components,
    )


def _read_input_request(lead: Element) -> wire.InputRequest:
    return wire.InputRequest(
        *_address(lead),
        new_delivery=lead.boolean("IsNewDelivery"),
        articles=_read_articles(lead),
        set_picking_indicator=lead.boolean("SetPickingIndicator"),
    )


def _started(lead: Element) -> tuple[bool, tuple[wire.Article, ...], wire.InputDetails]:
    details = lead.first("Details")
    where = wire.InputDetails(
        source=details.integer("InputSource", SIGNED32),
        point=details.integer("InputPoint", SIGNED32),
        status=details.string("Status").strip(),
    )
    return lead.boolean("IsNewDelivery"), _read_articles(lead), where


def _read_deliveries(lead: Element) -> tuple[wire.Delivery, ...]:
    return tuple(
        wire.Delivery(each.string("DeliveryNumber"), _read_master(each))
        for each in lead.all("StockDelivery")
    )


def _read_result(lead: Element) -> tuple[str, str]:
    result = lead.first("SetResult")
    return result.string("Value"), result.string("Text")


def _read_configuration(lead: Element) -> str:
    """Return the configuration as text, whether it came as CDATA (§6.11.2) or as elements."""
    found = lead.first("Configuration")
    return "".join(map(render, found.children)) or found.text


def _read_locations(lead: Element) -> tuple[wire.StockLocation, ...]:
    return tuple(
        wire.StockLocation(each.string("Id"), each.string("Description"))
        for each in lead.all("StockLocation")
    )


def _read_stock_request(lead: Element) -> wire.StockInfoRequest:
    return wire.StockInfoRequest(
        *_address(lead),
        include_packs=lead.boolean("IncludePacks", default=True),
        include_article_details=lead.boolean("IncludeArticleDetails"),
        criteria=_read_criteria(lead),
    )


def _read_output_message(lead: Element) -> wire.OutputMessage:
    return wire.OutputMessage(
        *_address(lead),
        details=_read_details(lead),
        articles=_read_articles(lead),
        boxes=_read_boxes(lead),
    )


def _read_unprocessed(lead: Element) -> wire.UnprocessedMessage:
    return wire.UnprocessedMessage(
        *_address(lead),
        reason=lead.string("Reason"),
        text=lead.string("Text"),
        content=lead.first("Message").text,
    )


def _read_details(lead: Element) -> wire.OutputDetails:
    details = lead.first("Details")
    return wire.OutputDetails(
        priority=details.string("Priority", "Normal"),
        destination=details.integer("OutputDestination", SIGNED32),
        point=details.integer("OutputPoint", SIGNED32),
        status=details.string("Status"),
    )


def _read_boxes(parent: Element) -> tuple[str, ...]:
    return tuple(box.string("Number") for box in parent.all("Box"))


def _read_articles(parent: Element) -> tuple[wire.Article, ...]:
    return tuple(
        wire.Article(
            id=each.string("Id"),
            name=each.string("Name"),
            dosage_form=each.string("DosageForm"),
            packaging_unit=each.string("PackagingUnit") or each.string("PackingUnit"),
            max_sub_items=each.integer("MaxSubItemQuantity"),
            quantity=each.integer("Quantity"),
            packs=tuple(_read_pack(pack) for pack in each.all("Pack")),
        )
        for each in parent.all("Article")
    )


def _read_master(parent: Element) -> tuple[wire.Article, ...]:
    """Return articles of master data, which have more attributes than others."""
    return tuple(
        replace(
            article,
            requires_fridge=each.boolean("RequiresFridge"),
            batch=each.string("BatchNumber"),
            external_id=each.string("ExternalId"),
            expiry=each.day("ExpiryDate"),
            stock_location=each.string("StockLocationId"),
            machine_location=each.string("MachineLocation"),
        )
        for article, each in zip(_read_articles(parent), parent.all("Article"), strict=True)
    )


def _read_pack(pack: Element) -> wire.PackData:
    handling, error = pack.first("Handling"), pack.first("Error")
    return wire.PackData(
        id=pack.integer("Id", INT64),
        index=pack.integer("Index"),
        scan_code=pack.string("ScanCode"),
        batch=pack.string("BatchNumber"),
        expiry=pack.day("ExpiryDate"),
        sub_items=pack.integer("SubItemQuantity"),
        serial=pack.string("SerialNumber"),
        external_id=pack.string("ExternalId"),
        delivery=pack.string("DeliveryNumber"),
        stock_in=pack.day("StockInDate"),
        depth=pack.integer("Depth"),
        width=pack.integer("Width"),
        height=pack.integer("Height"),
        shape=pack.string("Shape", "Cuboid"),
        state=pack.string("State", "Available"),
        in_fridge=pack.boolean("IsInFridge"),
        stock_location=pack.string("StockLocationId"),
        machine_location=pack.string("MachineLocation"),
        output_destination=pack.integer("OutputDestination", SIGNED32),
        output_point=pack.integer("OutputPoint", SIGNED32),
        box=pack.string("BoxNumber"),
        label_status=pack.string("LabelStatus"),
        handling=handling.string("Input"),
        handling_text=handling.string("Text"),
        error=error.string("Type"),
        error_text=error.string("Text"),
    )


def _read_criteria(lead: Element) -> tuple[wire.Criteria, ...]:
    return tuple(
        wire.Criteria(
            article=each.string("ArticleId"),
            quantity=each.integer("Quantity"),
            sub_items=each.integer("SubItemQuantity"),
            minimum_expiry=each.day("MinimumExpiryDate"),
            batch=each.string("BatchNumber"),
            single_batch=each.boolean("SingleBatchNumber"),
            external_id=each.string("ExternalId"),
            serial=each.string("SerialNumber"),
            pack_id=each.integer("PackId", INT64),
            stock_location=each.string("StockLocationId"),
            machine_location=each.string("MachineLocation"),
            labels=tuple(
                wire.Label(label.string("TemplateId"), label.first("Content").text)
                for label in each.all("Label")
            ),
        )
        for each in lead.all("Criteria")
    )


def _read_tasks(lead: Element) -> tuple[wire.Task, ...]:
    return tuple(
        wire.Task(
            id=_id(each),
            type=each.string("Type"),
            status=each.string("Status"),
            articles=_read_articles(each),
            boxes=_read_boxes(each),
        )
        for each in lead.all("Task")
    )


def _ordered(lead: Element) -> tuple[wire.OutputDetails, tuple[wire.Criteria, ...], str]:
    return _read_details(lead), _read_criteria(lead), lead.string("BoxNumber")


_Decoder = Callable[[Element], wire.Message]
_DECODERS: dict[str, _Decoder] = {
    "HelloRequest": lambda lead: wire.HelloRequest(_id(lead), _subscriber(lead)),
    "HelloResponse": lambda lead: wire.HelloResponse(_id(lead), _subscriber(lead)),
    "KeepAliveRequest": lambda lead: wire.KeepAliveRequest(*_address(lead)),
    "KeepAliveResponse": lambda lead: wire.KeepAliveResponse(*_address(lead)),
    "StatusRequest": lambda lead: wire.StatusRequest(
        *_address(lead), lead.boolean("IncludeDetails")
    ),
    "StatusResponse": _read_status,
    "InputRequest": _read_input_request,
    "InputResponse": lambda lead: wire.InputResponse(
        *_address(lead), lead.boolean("IsNewDelivery"), _read_articles(lead)
    ),
    "InputMessage": lambda lead: wire.InputMessage(
        *_address(lead), lead.boolean("IsNewDelivery"), _read_articles(lead)
    ),
    "InitiateInputRequest": lambda lead: wire.InitiateInputRequest(
        *_address(lead), *_started(lead), lead.boolean("SetPickingIndicator")
    ),
    "InitiateInputResponse": lambda lead: wire.InitiateInputResponse(
        *_address(lead), *_started(lead), lead.boolean("SetPickingIndicator")
    ),
    "InitiateInputMessage": lambda lead: wire.InitiateInputMessage(
        *_address(lead), *_started(lead)
    ),
    "ArticleMasterSetRequest": lambda lead: wire.ArticleMasterSetRequest(
        *_optional_address(lead), _read_master(lead)
    ),
    "ArticleMasterSetResponse": lambda lead: wire.ArticleMasterSetResponse(
        *_address(lead), *_read_result(lead)
    ),
    "StockDeliverySetRequest": lambda lead: wire.StockDeliverySetRequest(
        *_address(lead), _read_deliveries(lead)
    ),
    "StockDeliverySetResponse": lambda lead: wire.StockDeliverySetResponse(
        *_address(lead), *_read_result(lead)
    ),
    "ConfigurationGetRequest": lambda lead: wire.ConfigurationGetRequest(*_address(lead)),
    "ConfigurationGetResponse": lambda lead: wire.ConfigurationGetResponse(
        *_address(lead), _read_configuration(lead)
    ),
    "StockLocationInfoRequest": lambda lead: wire.StockLocationInfoRequest(*_address(lead)),
    "StockLocationInfoResponse": lambda lead: wire.StockLocationInfoResponse(
        *_address(lead), _read_locations(lead)
    ),
    "StockInfoRequest": _read_stock_request,
    "StockInfoResponse": lambda lead: wire.StockInfoResponse(*_address(lead), _read_articles(lead)),
    "StockInfoMessage": lambda lead: wire.StockInfoMessage(*_address(lead), _read_articles(lead)),
    "OutputRequest": lambda lead: wire.OutputRequest(*_address(lead), *_ordered(lead)),
    "OutputResponse": lambda lead: wire.OutputResponse(*_address(lead), *_ordered(lead)),
    "OutputMessage": _read_output_message,
    "TaskInfoRequest": lambda lead: wire.TaskInfoRequest(
        *_address(lead), _read_tasks(lead), lead.boolean("IncludeTaskDetails")
    ),
    "TaskInfoResponse": lambda lead: wire.TaskInfoResponse(*_address(lead), _read_tasks(lead)),
    "OutputInfoRequest": lambda lead: wire.OutputInfoRequest(
        *_address(lead), _read_tasks(lead), lead.boolean("IncludeTaskDetails")
    ),
    "OutputInfoResponse": lambda lead: wire.OutputInfoResponse(*_address(lead), _read_tasks(lead)),
    "TaskCancelRequest": lambda lead: wire.TaskCancelRequest(*_address(lead), _read_tasks(lead)),
    "TaskCancelResponse": lambda lead: wire.TaskCancelResponse(*_address(lead), _read_tasks(lead)),
    "TaskCancelOutputRequest": lambda lead: wire.TaskCancelOutputRequest(
        *_address(lead), _read_tasks(lead)
    ),
    "TaskCancelOutputResponse": lambda lead: wire.TaskCancelOutputResponse(
        *_address(lead), _read_tasks(lead)
    ),
    "UnprocessedMessage": _read_unprocessed,
}

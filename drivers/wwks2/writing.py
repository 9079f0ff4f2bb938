"""WWKS2 messages to XML elements. Pure.

Source: WWKS 2 Reference Manual V6.0 §6, one section per message. Attributes that have their default
value are left out, unless the manual makes them mandatory in that message.
"""

from datetime import date
from functools import singledispatch

from drivers.wwks2 import messages as wire
from drivers.wwks2.markup import Element, written

_NUMBERS = ("Quantity", "OutputDestination", "InputSource")
"""Mandatory attributes that are integers, beside the ids of packs."""
_ALWAYS: dict[str, tuple[str, ...]] = {
    "StatusResponse": ("State",),
    "UnprocessedMessage": ("Reason",),
    "Subscriber": ("Id", "Type", "Manufacturer", "ProductInfo", "VersionInfo"),
    "Component": ("Type", "Description", "State"),
    "Details": ("Status",),
    "SetResult": ("Value",),
    "StockDelivery": ("DeliveryNumber",),
    "StockLocation": ("Id",),
    "Task": ("Id", "Status"),
    "Box": ("Number",),
}
"""Mandatory attributes by element, where they are the same in every message that has no own row."""
_MANDATORY: dict[str, dict[str, tuple[str, ...]]] = {
    "InputRequest": {"Pack": ("ScanCode",)},
    "InputMessage": {"Article": ("Id",), "Pack": ("Id",)},
    "InitiateInputRequest": {"Details": ("InputSource",), "Pack": ("ScanCode",)},
    "InitiateInputResponse": {"Details": ("InputSource", "Status"), "Pack": ("ScanCode",)},
    "InitiateInputMessage": {
        "Details": ("InputSource", "Status"),
        "Article": ("Id",),
        "Pack": ("Id",),
    },
    "ArticleMasterSetRequest": {"Article": ("Id",)},
    "StockDeliverySetRequest": {"Article": ("Id",)},
    "StockInfoResponse": {"Article": ("Id",), "Pack": ("Id",)},
    "StockInfoMessage": {"Article": ("Id",), "Pack": ("Id",)},
    "OutputRequest": {"Details": ("OutputDestination",), "Criteria": ("Quantity",)},
    "OutputResponse": {"Details": ("OutputDestination", "Status"), "Criteria": ("Quantity",)},
    "OutputMessage": {
        "Details": ("OutputDestination", "Status"),
        "Pack": ("Id", "OutputDestination"),
    },
    "TaskInfoRequest": {"Task": ("Type", "Id")},
    "TaskInfoResponse": {"Task": ("Type", "Id", "Status"), "Pack": ("Id", "OutputDestination")},
    "TaskCancelRequest": {"Task": ("Type", "Id")},
    "TaskCancelResponse": {"Task": ("Type", "Id", "Status")},
    "OutputInfoRequest": {"Task": ("Id",)},
    "TaskCancelOutputRequest": {"Task": ("Id",)},
}
"""Mandatory attributes by message and element. Source: the M/O columns of §6."""


def lead_of(message: wire.Message) -> Element:
    """Return the lead element of a message, complete."""
    lead = Element(kind_of(message), {"Id": message.id})
    if not isinstance(message, wire.Hello):
        lead.attributes["Source"] = str(message.source)
        lead.attributes["Destination"] = str(message.destination)
    _fill(message, lead)
    _complete(lead, _MANDATORY.get(lead.tag, {}))
    return lead


def _complete(element: Element, mandatory: dict[str, tuple[str, ...]]) -> None:
    """Write what must not be left out, though it has its default value."""
    for name in mandatory.get(element.tag, _ALWAYS.get(element.tag, ())):
        number = name in _NUMBERS or (name, element.tag) == ("Id", "Pack")
        element.attributes.setdefault(name, "0" if number else "")
    for child in element.children:
        _complete(child, mandatory)


def kind_of(message: wire.Hello | wire.Addressed) -> str:
    """Return the name of the lead element of a message."""
    return message.kind if isinstance(message, wire.UnknownMessage) else type(message).__name__


def _set(element: Element, **attributes: str | int | date | None) -> Element:
    """Set those attributes that differ from their default: "", 0, False, None."""
    for name, value in attributes.items():
        if value:
            element.attributes[name] = written(value)
    return element


@singledispatch
def _fill(message: object, lead: Element) -> None:
    """Add what a message has beside id, source and destination (nothing, unless registered)."""


@_fill.register
def _(message: wire.Hello, lead: Element) -> None:
    about = message.subscriber
    subscriber = _set(
        Element("Subscriber", {"Id": str(about.id), "Type": about.type}),
        Manufacturer=about.manufacturer,
        ProductInfo=about.product,
        VersionInfo=about.version,
        TenantId=about.tenant,
    )
    subscriber.children = [Element("Capability", {"Name": name}) for name in about.capabilities]
    lead.children.append(subscriber)


@_fill.register
def _(message: wire.StatusRequest, lead: Element) -> None:
    _set(lead, IncludeDetails=message.include_details)


@_fill.register
def _(message: wire.StatusResponse, lead: Element) -> None:
    _set(lead, State=message.state, StateText=message.text)
    lead.children = [
        _set(
            Element("Component", {"Type": each.type}),
            Description=each.description,
            State=each.state,
            StateText=each.text,
        )
        for each in message.components
    ]


@_fill.register
def _(message: wire.InputMessageBase, lead: Element) -> None:
    _set(lead, IsNewDelivery=message.new_delivery)
    if isinstance(message, wire.InputRequest):
        _set(lead, SetPickingIndicator=message.set_picking_indicator)
    lead.children = [_article(each, "PackagingUnit") for each in message.articles]


@_fill.register
def _(message: wire.InitiateInputBase, lead: Element) -> None:
    _set(lead, IsNewDelivery=message.new_delivery)
    if isinstance(message, wire.InitiateInputRequest | wire.InitiateInputResponse):
        _set(lead, SetPickingIndicator=message.set_picking_indicator)
    where = message.details
    details = _set(Element("Details"), InputSource=where.source, InputPoint=where.point)
    lead.children = [
        _set(details, Status=where.status),
        *(_article(each, "PackagingUnit") for each in message.articles),
    ]


@_fill.register
def _(message: wire.ArticleMasterSetRequest, lead: Element) -> None:
    lead.children = [_master(each) for each in message.articles]


@_fill.register
def _(message: wire.StockDeliverySetRequest, lead: Element) -> None:
    for each in message.deliveries:
        delivery = Element("StockDelivery", {"DeliveryNumber": each.number})
        delivery.children = [_master(article) for article in each.articles]
        lead.children.append(delivery)


@_fill.register
def _(message: wire.SetResponse, lead: Element) -> None:
    lead.children = [_set(Element("SetResult"), Value=message.value, Text=message.text)]


@_fill.register
def _(message: wire.ConfigurationGetResponse, lead: Element) -> None:
    lead.children = [Element("Configuration", text=message.configuration)]


@_fill.register
def _(message: wire.StockLocationInfoResponse, lead: Element) -> None:
    lead.children = [
        _set(Element("StockLocation", {"Id": each.id}), Description=each.description)
        for each in message.locations
    ]


@_fill.register
def _(message: wire.StockInfoRequest, lead: Element) -> None:
    lead.attributes["IncludePacks"] = written(message.include_packs)
    _set(lead, IncludeArticleDetails=message.include_article_details)
    lead.children = [_criteria(each) for each in message.criteria]


@_fill.register(wire.StockInfoResponse)
@_fill.register(wire.StockInfoMessage)
def _(message: wire.StockInfoResponse | wire.StockInfoMessage, lead: Element) -> None:
    lead.children = [_article(each, "PackingUnit") for each in message.articles]


@_fill.register(wire.OutputRequest)
@_fill.register(wire.OutputResponse)
def _(message: wire.OutputRequest | wire.OutputResponse, lead: Element) -> None:
    _set(lead, BoxNumber=message.box)
    lead.children = [_details(message.details), *(_criteria(each) for each in message.criteria)]


@_fill.register
def _(message: wire.OutputMessage, lead: Element) -> None:
    lead.children = [_details(message.details), *_outcome(message.articles, message.boxes)]


@_fill.register
def _(message: wire.TaskMessage, lead: Element) -> None:
    if isinstance(message, wire.TaskInfoRequest | wire.OutputInfoRequest):
        _set(lead, IncludeTaskDetails=message.include_details)
    for each in message.tasks:
        task = _set(Element("Task"), Type=each.type, Id=each.id, Status=each.status)
        task.children = _outcome(each.articles, each.boxes)
        lead.children.append(task)


@_fill.register
def _(message: wire.UnprocessedMessage, lead: Element) -> None:
    _set(lead, Reason=message.reason, Text=message.text)
    lead.children = [Element("Message", text=message.content)]


def _details(details: wire.OutputDetails) -> Element:
    element = Element("Details", {"Priority": details.priority})
    element.attributes["OutputDestination"] = str(details.destination)
    return _set(element, OutputPoint=details.point, Status=details.status)


def _outcome(articles: tuple[wire.Article, ...], boxes: tuple[str, ...]) -> list[Element]:
    return [
        *(_article(each, "PackagingUnit") for each in articles),
        *(Element("Box", {"Number": box}) for box in boxes),
    ]


def _article(article: wire.Article, unit_name: str) -> Element:
    element = _set(
        Element("Article"),
        Id=article.id,
        Name=article.name,
        DosageForm=article.dosage_form,
        **{unit_name: article.packaging_unit},
        MaxSubItemQuantity=article.max_sub_items,
        Quantity=article.quantity,
    )
    element.children = [_pack(each) for each in article.packs]
    return element


def _master(article: wire.Article) -> Element:
    return _set(
        _article(article, "PackagingUnit"),
        RequiresFridge=article.requires_fridge,
        BatchNumber=article.batch,
        ExternalId=article.external_id,
        ExpiryDate=article.expiry,
        StockLocationId=article.stock_location,
        MachineLocation=article.machine_location,
    )


def _pack(pack: wire.PackData) -> Element:
    element = _set(
        Element("Pack"),
        Index=pack.index,
        Id=pack.id,
        DeliveryNumber=pack.delivery,
        BatchNumber=pack.batch,
        ExternalId=pack.external_id,
        SerialNumber=pack.serial,
        ExpiryDate=pack.expiry,
        StockInDate=pack.stock_in,
        ScanCode=pack.scan_code,
        SubItemQuantity=pack.sub_items,
        Depth=pack.depth,
        Width=pack.width,
        Height=pack.height,
        Shape="" if pack.shape == "Cuboid" else pack.shape,
        State="" if pack.state == "Available" else pack.state,
        IsInFridge=pack.in_fridge,
        BoxNumber=pack.box,
        OutputDestination=pack.output_destination,
        OutputPoint=pack.output_point,
        LabelStatus=pack.label_status,
        StockLocationId=pack.stock_location,
        MachineLocation=pack.machine_location,
    )
    if pack.handling:
        handling = Element("Handling", {"Input": pack.handling})
        element.children.append(_set(handling, Text=pack.handling_text))
    if pack.error:
        error = Element("Error", {"Type": pack.error})
        element.children.append(_set(error, Text=pack.error_text))
    return element


def _criteria(criteria: wire.Criteria) -> Element:
    element = _set(
        Element("Criteria"),
        ArticleId=criteria.article,
        Quantity=criteria.quantity,
        SubItemQuantity=criteria.sub_items,
        MinimumExpiryDate=criteria.minimum_expiry,
        BatchNumber=criteria.batch,
        SingleBatchNumber=criteria.single_batch,
        ExternalId=criteria.external_id,
        SerialNumber=criteria.serial,
        PackId=criteria.pack_id,
        StockLocationId=criteria.stock_location,
        MachineLocation=criteria.machine_location,
    )
    element.children = [
        Element("Label", {"TemplateId": label.template}, [Element("Content", text=label.content)])
        for label in criteria.labels
    ]
    return element

"""WWKS2 messages to XML elements. Pure.

Source: WWKS 2 Reference Manual V6.0 §6, one section per message. Attributes that have their default
value are left out, which the manual allows.
"""

from datetime import date
from functools import singledispatch

from drivers.wwks2 import messages as wire
from drivers.wwks2.markup import Element, written


def lead_of(message: wire.Message) -> Element:
    """Return the lead element of a message, complete."""
    lead = Element(kind_of(message), {"Id": message.id})
    if not isinstance(message, wire.Hello):
        lead.attributes["Source"] = str(message.source)
        lead.attributes["Destination"] = str(message.destination)
    _fill(message, lead)
    return lead


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
        element.attributes.setdefault("Id", "0")
        handling = Element("Handling", {"Input": pack.handling})
        element.children = [_set(handling, Text=pack.handling_text)]
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

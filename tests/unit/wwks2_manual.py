"""The tables of the WWKS2 manual, and a strict reader of documents that holds them against these.

Typed from the M/O and data type columns of the WWKS 2 Reference Manual V6.0 §6, with nothing of the
codec: the reader is an XML parser of its own. Marks: `!` mandatory; `p` integer above 0, `n` from 0
on, `i` any of 32 bits; `P` and `N` the same with 64 bits; `b` True or False; `d` YYYY-MM-DD;
words between `|` one of them; nothing: text. Where the manual contradicts its own examples (Article
Id and Pack Id of aborted inputs, which it calls mandatory and leaves out) the table is followed.
"""

import re
from xml.etree import ElementTree as ET

_HEAD = "Id! Source!p Destination!p"
_SIZE = "Depth:n Width:n Height:n Shape:Cuboid|Cylinder"
_KEPT = "DeliveryNumber BatchNumber ExternalId ExpiryDate:d"
_PLACE = "StockLocationId MachineLocation"
_NAMES = "Name DosageForm PackagingUnit MaxSubItemQuantity:n"
_UNIT = "Name DosageForm PackingUnit MaxSubItemQuantity:n"
_MASTER = f"Id! Name DosageForm PackagingUnit PackingUnit RequiresFridge:b {_PLACE}"
_STATE = "State:Available|NotAvailable"
_STORED = f"{_KEPT} StockInDate:d ScanCode SubItemQuantity:n {_SIZE}"
_LEFT = (
    f"Id!P {_STORED} IsInFridge:b BoxNumber OutputDestination!i OutputPoint:i"
    f" LabelStatus:Labelled|NotLabelled|LabelError {_PLACE}"
)
_ASKED = f"Index:n ScanCode! {_KEPT} SubItemQuantity:n"
_FILTER = (
    "ArticleId Quantity!n SubItemQuantity:n MinimumExpiryDate:d BatchNumber SingleBatchNumber:b"
    f" ExternalId PackId:P {_PLACE}"
)
_PRIORITY = "Priority:Low|Normal|High"
_HELLO = {
    "": "Id!",
    "Subscriber!": "Id!p Type!IMS|Robot Manufacturer! ProductInfo! VersionInfo!",
    "Subscriber/Capability": (
        "Name!KeepAlive|Status|Input|InitiateInput|ArticleMaster|StockDelivery|StockInfo|Output"
        "|TaskInfo|TaskCancel|Configuration|StockLocationInfo"
    ),
}
_REJECTIONS = (
    "Rejected|RejectedNoExpiryDate|RejectedNoPickingIndicator|RejectedNoBatchNumber"
    "|RejectedNoStockLocation|RejectedInvalidStockLocation"
)
_STOCK = {
    "": _HEAD,
    "Article": f"Id! {_UNIT} Quantity:p",
    "Article/Pack": f"Id!P {_STORED} {_STATE} IsInFridge:b {_PLACE}",
}
_TASKS = "Queued|InProcess|Aborting|Aborted|Completed|Incomplete|Unknown"
_RESULT = {"": _HEAD, "SetResult!": "Value!Accepted|Rejected Text"}

MANUAL: dict[str, dict[str, str]] = {
    "HelloRequest": _HELLO | {"Subscriber!": f"{_HELLO['Subscriber!']} TenantId"},
    "HelloResponse": _HELLO,
    "KeepAliveRequest": {"": _HEAD},
    "KeepAliveResponse": {"": _HEAD},
    "StatusRequest": {"": f"{_HEAD} IncludeDetails:b"},
    "StatusResponse": {
        "": f"{_HEAD} State!Ready|NotReady StateText",
        "Component": ("Type!StorageSystem|BoxSystem Description! State!Ready|NotReady StateText"),
    },
    "InputRequest": {
        "": f"{_HEAD} IsNewDelivery:b SetPickingIndicator:b",
        "Article!": "",
        "Article/Pack!": f"{_ASKED} {_PLACE}",
    },
    "InputResponse": {
        "": f"{_HEAD} IsNewDelivery:b",
        "Article!": f"Id {_NAMES}",
        "Article/Pack!": f"Index:n {_KEPT} SubItemQuantity:n StockLocationId",
        "Article/Pack/Handling!": f"Input!Allowed|AllowedForFridge|{_REJECTIONS} Text",
    },
    "InputMessage": {
        "": f"{_HEAD} IsNewDelivery:b",
        "Article!": f"Id! {_NAMES}",
        "Article/Pack!": f"Index:n Id!N {_STORED} {_STATE} {_PLACE}",
        "Article/Pack/Handling!": "Input!Completed|Aborted Text",
    },
    "InitiateInputRequest": {
        "": f"{_HEAD} IsNewDelivery:b SetPickingIndicator:b",
        "Details!": "InputSource!i InputPoint:i",
        "Article!": "",
        "Article/Pack!": f"{_ASKED} {_SIZE} {_PLACE}",
    },
    "InitiateInputResponse": {
        "": f"{_HEAD} IsNewDelivery:b SetPickingIndicator:b",
        "Details!": "InputSource!i InputPoint:i Status!Accepted|Rejected",
        "Article!": f"Id {_NAMES}",
        "Article/Pack!": f"{_ASKED} {_SIZE} StockLocationId",
    },
    "InitiateInputMessage": {
        "": _HEAD,
        "Details!": "InputSource!i InputPoint:i Status!Completed|Incomplete",
        "Article!": f"Id! {_NAMES}",
        "Article/Pack!": f"Index:n Id!N {_STORED} {_STATE} {_PLACE}",
        "Article/Pack/Error": (
            f"Type!{_REJECTIONS}|RejectedInvalidExpiryDate|QueueFull|FridgeMissing"
            "|UnknownPackDimensions|MeasurementError|PackAcknowledged|InputBroken"
            "|NoSpaceInMachine|NoPackDetected Text"
        ),
    },
    "ArticleMasterSetRequest": {
        "": "Id Source:p Destination:p",
        "Article": f"{_MASTER} MaxSubItemQuantity:n",
    },
    "ArticleMasterSetResponse": _RESULT,
    "StockDeliverySetRequest": {
        "": _HEAD,
        "StockDelivery!": "DeliveryNumber!",
        "StockDelivery/Article!": (
            f"{_MASTER} BatchNumber ExternalId ExpiryDate:d MaxSubItemQuantity:n Quantity:n"
        ),
    },
    "StockDeliverySetResponse": _RESULT,
    "StockInfoRequest": {
        "": f"{_HEAD} IncludePacks:b IncludeArticleDetails:b",
        "Criteria": f"ArticleId BatchNumber ExternalId {_PLACE}",
    },
    "StockInfoResponse": _STOCK,
    "StockInfoMessage": _STOCK,
    "OutputRequest": {
        "": f"{_HEAD} BoxNumber",
        "Details!": f"{_PRIORITY} OutputDestination!i OutputPoint:i",
        "Criteria": _FILTER,
        "Criteria/Label": "TemplateId!",
        "Criteria/Label/Content!": "",
    },
    "OutputResponse": {
        "": f"{_HEAD} BoxNumber",
        "Details!": f"{_PRIORITY} OutputDestination!i OutputPoint:i Status!Queued|Rejected",
        "Criteria": _FILTER,
        "Criteria/Label": "TemplateId!",
        "Criteria/Label/Content!": "",
    },
    "OutputMessage": {
        "": _HEAD,
        "Details!": (
            f"{_PRIORITY} OutputDestination!i OutputPoint:i Status!Completed|Incomplete|Aborted"
        ),
        "Article": "Id",
        "Article/Pack": _LEFT,
        "Box": "Number!",
    },
    "TaskInfoRequest": {
        "": f"{_HEAD} IncludeTaskDetails:b",
        "Task!": "Type!Output|StockDelivery Id!",
    },
    "TaskInfoResponse": {
        "": _HEAD,
        "Task!": f"Type!Output|StockDelivery Id! Status!{_TASKS}",
        "Task/Article": "Id Quantity:n",
        "Task/Article/Pack": _LEFT,
        "Task/Box": "Number!",
    },
    "TaskCancelRequest": {"": _HEAD, "Task!": "Type!Output Id!"},
    "TaskCancelResponse": {
        "": _HEAD,
        "Task!": "Type!Output Id! Status!Unknown|Cancelled|CancelError",
    },
    "ConfigurationGetRequest": {"": _HEAD},
    "ConfigurationGetResponse": {"": _HEAD, "Configuration!": ""},
    "StockLocationInfoRequest": {"": _HEAD},
    "StockLocationInfoResponse": {"": _HEAD, "StockLocation!": "Id! Description"},
}
ROBOT_SAYS = (
    "InputRequest",
    "KeepAliveRequest",
    *(name for name in MANUAL if name.endswith("Message")),
    *(name for name in MANUAL if name.endswith("Response") and name != "InputResponse"),
)
"""What a machine may send."""

_MARKED = re.compile(r"(\w+)([!:]?)(.*)")
_BOUNDS = {
    "p": (1, 2**31 - 1),
    "n": (0, 2**31 - 1),
    "i": (-(2**31), 2**31 - 1),
    "P": (1, 2**63 - 1),
    "N": (0, 2**63 - 1),
}
_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


def attributes(row: str) -> dict[str, tuple[bool, str]]:
    """Name -> (mandatory, type) of the attributes in one row of the table."""
    found = (_MARKED.fullmatch(each) for each in row.split())
    return {each[1]: (each[2] == "!", each[3]) for each in found if each is not None}


def bounds(kind: str) -> tuple[int, int] | None:
    """The range of an integer type, None for other types."""
    return _BOUNDS.get(kind)


def _fits(kind: str, value: str) -> bool:
    limits = bounds(kind)
    if limits is not None:
        return re.fullmatch(r"-?\d+", value) is not None and limits[0] <= int(value) <= limits[1]
    match kind:
        case "":
            return True
        case "b":
            return value in {"True", "False"}
        case "d":
            return _DAY.fullmatch(value) is not None
        case words:
            return value in words.split("|")


def faults_of(raw: bytes) -> list[str]:
    """Everything in which one document departs from the manual; nothing for a correct one."""
    root = ET.fromstring(raw)  # noqa: S314 - our own programs wrote it
    if root.tag != "WWKS" or root.attrib.get("Version") != "2.0" or len(root) != 1:
        return [f"no envelope: {raw[:80]!r}"]
    faults = []
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", root.attrib.get("TimeStamp", "")):
        faults.append(f"time stamp {root.attrib.get('TimeStamp')!r}")
    lead = root[0]
    if lead.tag not in MANUAL:
        return [*faults, f"{lead.tag} is no message of the manual"]
    rows = {path.rstrip("!"): row for path, row in MANUAL[lead.tag].items()}
    needed = {path.rstrip("!") for path in MANUAL[lead.tag] if path.endswith("!")}
    return faults + _faults(lead, "", rows, needed)


def _faults(element: ET.Element, path: str, rows: dict[str, str], needed: set[str]) -> list[str]:
    where, faults = f"{element.tag} ({path})", []
    row = attributes(rows[path])
    for name, (mandatory, kind) in row.items():
        if name not in element.attrib:
            faults += [f"{where} without {name}"] if mandatory else []
        elif not _fits(kind, element.attrib[name]):
            faults.append(f"{where}: {name}={element.attrib[name]!r} is not {kind}")
    faults += [f"{where}: {name} is unknown" for name in element.attrib if name not in row]
    children = {child.tag for child in element}
    for child in element:
        below = f"{path}/{child.tag}".lstrip("/")
        if below in rows:
            faults += _faults(child, below, rows, needed)
        else:
            faults.append(f"{where}: <{child.tag}> is unknown")
    for below in needed:
        parent, _, tag = below.rpartition("/")
        if parent == path and tag not in children:
            faults.append(f"{where} without <{tag}>")
    return faults

"""The PackML nodes of the simulated counter: a table of facts, and what its variables show.

Source: OPC 30050 "OPC UA for PackML" 1.01 and the node ids of its nodeset of 2020-10-08; OPC
40001-1 Machinery for `Machines`, OPC 10000-100 DI for `Identification`. The types carry only what
an instance needs to be recognised: state objects and structures, no instance declarations.
"""

from collections.abc import Iterator, Mapping, Sequence

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.base import ProtocolError
from drivers.opcua_binary import PIECE_UNIT_ID
from drivers.packml.binary import (
    COUNT_ENCODING_ID,
    DESCRIPTOR_ENCODING_ID,
    CountElement,
    Descriptor,
    decode_descriptor,
    encode_count,
    encode_descriptor,
)
from drivers.packml.codec import (
    BASE_LEVEL,
    CLEARED,
    DI_URI,
    MACHINE_LEVEL,
    MACHINERY_URI,
    PACKML_URI,
    RUNNING,
    STATE_IDS,
    State,
    UnitMode,
)
from simulators.opcua import OPCUA_URI, NodeFact, NodePath, Ref
from simulators.packml_model import CounterModel

SIMULATOR_URI = "urn:dispensed:simulators:packml"
MACHINE = "Counter"
NAMEPLATE: Mapping[str, str] = {
    "Manufacturer": "dispensed",
    "Model": "Simulated tablet counter",
    "SerialNumber": "SIM-0001",
    "SoftwareRevision": "1.0",
}
_OBJECT, _VARIABLE = ua.NodeClass.Object, ua.NodeClass.Variable
_STATE_TYPE = Ref(OPCUA_URI, ObjectIds.StateType)
_STATE_VARIABLE = Ref(OPCUA_URI, ObjectIds.FiniteStateVariableType)
_PLAIN_VARIABLE = Ref(OPCUA_URI, ObjectIds.BaseDataVariableType)
_PROPERTY = Ref(OPCUA_URI, ObjectIds.PropertyType)
_FOLDER = Ref(OPCUA_URI, ObjectIds.FolderType)
_EXECUTE_TYPE, _MACHINE_TYPE, _BASE_TYPE = 1, 2, 3
_TYPES: Mapping[int, tuple[str, int]] = {
    _EXECUTE_TYPE: ("PackMLExecuteStateMachineType", ObjectIds.FiniteStateMachineType),
    _MACHINE_TYPE: ("PackMLMachineStateMachineType", ObjectIds.FiniteStateMachineType),
    _BASE_TYPE: ("PackMLBaseStateMachineType", ObjectIds.FiniteStateMachineType),
    4: ("PackMLStatusObjectType", ObjectIds.BaseObjectType),
    5: ("PackMLAdminObjectType", ObjectIds.BaseObjectType),
    6: ("PackMLBaseObjectType", ObjectIds.BaseObjectType),
}
_STRUCTURES: Mapping[int, tuple[str, int]] = {
    14: ("PackMLCountDataType", COUNT_ENCODING_ID),
    16: ("PackMLDescriptorDataType", DESCRIPTOR_ENCODING_ID),
}
_ROOT: NodePath = (MACHINE,)
_ADMIN: NodePath = (*_ROOT, "Admin")
_STATUS: NodePath = (*_ROOT, "Status")
_BASE: NodePath = (*_ROOT, "BaseStateMachine")
_MACHINE: NodePath = (*_BASE, "MachineState")
_EXECUTE: NodePath = (*_MACHINE, "ExecuteState")
_LEVELS: Mapping[NodePath, tuple[int, tuple[str, ...]]] = {
    _BASE: (_BASE_TYPE, ("Abort", "Clear")),
    _MACHINE: (_MACHINE_TYPE, ("Stop", "Reset")),
    _EXECUTE: (
        _EXECUTE_TYPE,
        ("Reset", "Start", "Hold", "Unhold", "Suspend", "Unsuspend", "ToComplete"),
    ),
}
_SET_UNIT_MODE: NodePath = (*_ROOT, "SetUnitMode")
_MODES = 11
"""Number of ProductionMaintenanceModeEnum, the modes of this machine."""
_STATE_NODES: Mapping[int, int] = {number: node for node, number in STATE_IDS.items()}


class PackMlFace:
    """The counter as OPC UA shows it."""

    namespaces: Sequence[str] = (SIMULATOR_URI, DI_URI, MACHINERY_URI, PACKML_URI)

    def __init__(self, model: CounterModel) -> None:
        self._model = model

    @property
    def model(self) -> CounterModel:
        """The machine."""
        return self._model

    @property
    def busy(self) -> bool:
        """Whether the passing of time will change anything."""
        return self._model.busy

    def nodes(self, index: Mapping[str, int]) -> Sequence[NodeFact]:
        """Return the table of nodes, parents first."""
        numbers = iter(range(5001, 6000))
        return [*_type_nodes(), *_instance_nodes(numbers, self.values(index), index)]

    def values(self, index: Mapping[str, int]) -> Mapping[NodePath, ua.DataValue]:
        """Return what the variables that change show at present."""
        model, packml = self._model, index[PACKML_URI]
        shown: dict[NodePath, ua.DataValue] = {}
        numbers = _levels_of(model.current)
        for path, number in zip(_LEVELS, numbers, strict=True):
            shown.update(_level_values(path, number, packml))
        for name, total in (
            ("ProdProcessedCount", model.processed),
            ("ProdDefectiveCount", model.defective),
        ):
            element = CountElement(0, "tablets", PIECE_UNIT_ID, "pcs", total.count, total.acc)
            body = ua.ExtensionObject(
                _numbered(COUNT_ENCODING_ID, packml), ua.ByteString(encode_count(element))
            )
            shown[*_ADMIN, name] = _good([body], ua.VariantType.ExtensionObject)
        parameters = [
            ua.ExtensionObject(
                _numbered(DESCRIPTOR_ENCODING_ID, packml), ua.ByteString(encode_descriptor(item))
            )
            for item in model.parameters
        ]
        shown[*_STATUS, "Parameter"] = _good(parameters, ua.VariantType.ExtensionObject)
        shown[*_STATUS, "UnitModeCurrent"] = _good(int(model.mode), ua.VariantType.Int32)
        shown[*_STATUS, "EquipmentStarved"] = _good(model.starved, ua.VariantType.Boolean)
        return shown

    def call(self, path: NodePath, arguments: Sequence[ua.Variant]) -> int:
        """Carry out a method; return an OPC UA status code."""
        if path == _SET_UNIT_MODE:
            return self._set_mode([argument.Value for argument in arguments])
        try:
            parameters = _descriptors(arguments)
        except ProtocolError:
            return StatusCodes.BadInvalidArgument
        accepted = self._model.command(path[-1], parameters)
        return StatusCodes.Good if accepted else StatusCodes.BadInvalidState

    def _set_mode(self, given: Sequence[object]) -> int:
        if len(given) != 1 or given[0] not in list(UnitMode):
            return StatusCodes.BadInvalidArgument
        changed = self._model.set_mode(UnitMode(given[0]))
        return StatusCodes.Good if changed else StatusCodes.BadInvalidState


def _levels_of(state: State) -> tuple[int | None, int | None, int | None]:
    if state in BASE_LEVEL:
        return state, None, None
    if state in MACHINE_LEVEL:
        return CLEARED, state, None
    return CLEARED, RUNNING, state


def _level_values(path: NodePath, number: int | None, packml: int) -> dict[NodePath, ua.DataValue]:
    current: NodePath = (*path, "CurrentState")
    if number is None:
        off = ua.DataValue(
            ua.Variant(None), StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadStateNotActive))
        )
        return {current: off, (*current, "Id"): off, (*current, "Number"): off}
    text = ua.LocalizedText(_state_name(number), "en")
    node = _numbered(_STATE_NODES[number], packml)
    return {
        current: _good(text, ua.VariantType.LocalizedText),
        (*current, "Id"): _good(node, ua.VariantType.NodeId),
        (*current, "Number"): _good(number, ua.VariantType.UInt32),
    }


def _state_name(number: int) -> str:
    wrappers = {RUNNING: "Running", CLEARED: "Cleared"}
    return wrappers.get(number) or State(number).name.capitalize()


def _good(value: object, kind: ua.VariantType) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, kind, is_array=isinstance(value, list)))


def _numbered(number: int, index: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number), ua.Int16(index))


def _descriptors(arguments: Sequence[ua.Variant]) -> list[Descriptor]:
    found: list[Descriptor] = []
    for argument in arguments:
        for item in argument.Value or []:
            if not isinstance(item, ua.ExtensionObject) or item.Body is None:
                raise ProtocolError(f"a PackMLDescriptorDataType was expected, not {item!r}")
            found.append(decode_descriptor(item.Body))
    return found


# ---------------------------------------------------------------- the table


def _type_nodes() -> Iterator[NodeFact]:
    for number, (name, base) in _TYPES.items():
        yield NodeFact(
            ("types", name),
            PACKML_URI,
            Ref(PACKML_URI, number),
            Ref(OPCUA_URI, base),
            ua.NodeClass.ObjectType,
            ObjectIds.HasSubtype,
        )
    for node, number in STATE_IDS.items():
        level = _EXECUTE_TYPE
        if number in BASE_LEVEL or number == CLEARED:
            level = _BASE_TYPE
        elif number in MACHINE_LEVEL or number == RUNNING:
            level = _MACHINE_TYPE
        yield NodeFact(
            ("states", _state_name(number)),
            PACKML_URI,
            Ref(PACKML_URI, node),
            Ref(PACKML_URI, level),
            _OBJECT,
            type_of=_STATE_TYPE,
        )
    yield NodeFact(
        ("types", "ProductionMaintenanceModeEnum"),
        PACKML_URI,
        Ref(PACKML_URI, _MODES),
        Ref(OPCUA_URI, ObjectIds.Enumeration),
        ua.NodeClass.DataType,
        ObjectIds.HasSubtype,
    )
    for number, (name, encoding) in _STRUCTURES.items():
        yield NodeFact(
            ("types", name),
            PACKML_URI,
            Ref(PACKML_URI, number),
            Ref(OPCUA_URI, ObjectIds.Structure),
            ua.NodeClass.DataType,
            ObjectIds.HasSubtype,
        )
        yield NodeFact(
            ("types", name, "Default Binary"),
            OPCUA_URI,
            Ref(PACKML_URI, encoding),
            Ref(PACKML_URI, number),
            _OBJECT,
            ObjectIds.HasEncoding,
            type_of=Ref(OPCUA_URI, ObjectIds.DataTypeEncodingType),
        )


def _instance_nodes(
    numbers: Iterator[int], shown: Mapping[NodePath, ua.DataValue], index: Mapping[str, int]
) -> Iterator[NodeFact]:
    machines = Ref(MACHINERY_URI, 1001)
    objects = Ref(OPCUA_URI, ObjectIds.ObjectsFolder)
    organizes = ObjectIds.Organizes
    yield NodeFact(
        ("Machines",), MACHINERY_URI, machines, objects, _OBJECT, organizes, type_of=_FOLDER
    )

    def fresh() -> Ref:
        return Ref(SIMULATOR_URI, next(numbers))

    def part(path: NodePath, type_number: int) -> NodeFact:
        kind = Ref(PACKML_URI, type_number)
        return NodeFact(path, PACKML_URI, fresh(), path[:-1], _OBJECT, type_of=kind)

    root = fresh()
    kind = Ref(PACKML_URI, 6)
    yield NodeFact(_ROOT, SIMULATOR_URI, root, machines, _OBJECT, organizes, type_of=kind)
    yield part(_ADMIN, 5)
    yield part(_STATUS, 4)
    identification: NodePath = (*_ROOT, "Identification")
    base_type = Ref(OPCUA_URI, ObjectIds.BaseObjectType)
    yield NodeFact(identification, DI_URI, fresh(), _ROOT, _OBJECT, type_of=base_type)
    for name, text in NAMEPLATE.items():
        value = ua.Variant(text, ua.VariantType.String)
        if name in {"Manufacturer", "Model"}:
            value = ua.Variant(ua.LocalizedText(text, "en"), ua.VariantType.LocalizedText)
        yield _property((*identification, name), DI_URI, fresh(), value)
    modes = ua.Variant(_numbered(_MODES, index[PACKML_URI]), ua.VariantType.NodeId)
    yield _property((*_STATUS, "UnitSupportedModes"), PACKML_URI, fresh(), modes)
    for path, data_type in _DATA.items():
        value = shown[path].Value or ua.Variant(None)
        yield NodeFact(
            path,
            PACKML_URI,
            fresh(),
            path[:-1],
            _VARIABLE,
            type_of=_PLAIN_VARIABLE,
            data_type=data_type,
            value=value,
        )
    for path, (type_number, methods) in _LEVELS.items():
        yield part(path, type_number)
        yield from _state_nodes((*path, "CurrentState"), numbers)
        for name in methods:
            yield from _method_nodes((*path, name), numbers, index)
    yield from _method_nodes(_SET_UNIT_MODE, numbers, index)


_DATA: Mapping[NodePath, Ref] = {
    (*_ADMIN, "ProdProcessedCount"): Ref(PACKML_URI, 14),
    (*_ADMIN, "ProdDefectiveCount"): Ref(PACKML_URI, 14),
    (*_STATUS, "Parameter"): Ref(PACKML_URI, 16),
    (*_STATUS, "UnitModeCurrent"): Ref(PACKML_URI, _MODES),
    (*_STATUS, "EquipmentStarved"): Ref(OPCUA_URI, ObjectIds.Boolean),
}


def _property(path: NodePath, uri: str, node: Ref, value: ua.Variant) -> NodeFact:
    return NodeFact(
        path,
        uri,
        node,
        path[:-1],
        _VARIABLE,
        ObjectIds.HasProperty,
        type_of=_PROPERTY,
        data_type=Ref(OPCUA_URI, int(value.VariantType)),
        value=value,
    )


def _state_nodes(current: NodePath, numbers: Iterator[int]) -> Iterator[NodeFact]:
    yield NodeFact(
        current,
        OPCUA_URI,
        Ref(SIMULATOR_URI, next(numbers)),
        current[:-1],
        _VARIABLE,
        type_of=_STATE_VARIABLE,
        data_type=Ref(OPCUA_URI, ObjectIds.LocalizedText),
        value=ua.Variant(ua.LocalizedText("", "en"), ua.VariantType.LocalizedText),
    )
    for name, value in (
        ("Id", ua.Variant(ua.NodeId(), ua.VariantType.NodeId)),
        ("Number", ua.Variant(0, ua.VariantType.UInt32)),
    ):
        yield _property((*current, name), OPCUA_URI, Ref(SIMULATOR_URI, next(numbers)), value)


def _method_nodes(
    path: NodePath, numbers: Iterator[int], index: Mapping[str, int]
) -> Iterator[NodeFact]:
    node = Ref(SIMULATOR_URI, next(numbers))
    yield NodeFact(path, PACKML_URI, node, path[:-1], ua.NodeClass.Method)
    argument = ua.Argument()
    if path[-1] == "Start":
        argument.Name = "Parameter"
        argument.DataType = _numbered(16, index[PACKML_URI])
        argument.ValueRank = ua.Int32(1)
        argument.ArrayDimensions = [ua.UInt32(0)]
    elif path == _SET_UNIT_MODE:
        argument.Name = "RequestedMode"
        argument.DataType = _numbered(ObjectIds.Int32, 0)
        argument.ValueRank = ua.Int32(-1)
    else:
        return
    value = ua.Variant([argument], ua.VariantType.ExtensionObject)
    fact = _property((*path, "InputArguments"), OPCUA_URI, Ref(SIMULATOR_URI, next(numbers)), value)
    yield NodeFact(
        fact.path,
        fact.uri,
        fact.node,
        fact.under,
        fact.node_class,
        fact.reference,
        type_of=fact.type_of,
        data_type=Ref(OPCUA_URI, ObjectIds.Argument),
        value=value,
    )

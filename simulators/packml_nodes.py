"""The PackML nodes of the simulated counter: a table of facts, and what its variables show.

Source: OPC 30050 "OPC UA for PackML" 1.01 and the node ids of its nodeset of 2020-10-08; OPC
40001-1 Machinery for `Machines`, OPC 10000-100 DI for `Identification`. The types carry only what
an instance needs to be recognised: state objects and structures, no instance declarations.
"""

from collections.abc import Mapping, Sequence

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.errors import ProtocolError
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
from simulators.opcua_table import Table, argument, good, numbered, structure
from simulators.packml_model import CounterModel

SIMULATOR_URI = "urn:dispensed:simulators:packml"
MACHINE = "Counter"
NAMEPLATE: Mapping[str, str] = {
    "Manufacturer": "dispensed",
    "Model": "Simulated tablet counter",
    "SerialNumber": "SIM-0001",
    "SoftwareRevision": "1.0",
}
_MACHINES = 1001
_STATE_TYPE = Ref(OPCUA_URI, ObjectIds.StateType)
_STATE_VARIABLE = Ref(OPCUA_URI, ObjectIds.FiniteStateVariableType)
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
        table = Table(SIMULATOR_URI)
        _types(table)
        _machine(table, self.values(index), index[PACKML_URI])
        return table.facts

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
            body = structure(COUNT_ENCODING_ID, packml, encode_count(element))
            shown[*_ADMIN, name] = good([body], ua.VariantType.ExtensionObject)
        parameters = [
            structure(DESCRIPTOR_ENCODING_ID, packml, encode_descriptor(item))
            for item in model.parameters
        ]
        shown[*_STATUS, "Parameter"] = good(parameters, ua.VariantType.ExtensionObject)
        shown[*_STATUS, "UnitModeCurrent"] = good(int(model.mode), ua.VariantType.Int32)
        shown[*_STATUS, "EquipmentStarved"] = good(model.starved, ua.VariantType.Boolean)
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
        match given:
            case [int(mode)] if mode in list(UnitMode):
                changed = self._model.set_mode(UnitMode(mode))
            case _:
                return StatusCodes.BadInvalidArgument
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
    node = numbered(_STATE_NODES[number], packml)
    return {
        current: good(text, ua.VariantType.LocalizedText),
        (*current, "Id"): good(node, ua.VariantType.NodeId),
        (*current, "Number"): good(number, ua.VariantType.UInt32),
    }


def _state_name(number: int) -> str:
    wrappers = {RUNNING: "Running", CLEARED: "Cleared"}
    return wrappers.get(number) or State(number).name.capitalize()


def _descriptors(arguments: Sequence[ua.Variant]) -> list[Descriptor]:
    found: list[Descriptor] = []
    for given in arguments:
        for item in given.Value or []:
            if not isinstance(item, ua.ExtensionObject) or item.Body is None:
                raise ProtocolError(f"a PackMLDescriptorDataType was expected, not {item!r}")
            found.append(decode_descriptor(item.Body))
    return found


# ---------------------------------------------------------------- the table


def _types(table: Table) -> None:
    for number, (name, base) in _TYPES.items():
        table.node_type(PACKML_URI, number, name, Ref(OPCUA_URI, base))
    for node, number in STATE_IDS.items():
        level = _EXECUTE_TYPE
        if number in BASE_LEVEL or number == CLEARED:
            level = _BASE_TYPE
        elif number in MACHINE_LEVEL or number == RUNNING:
            level = _MACHINE_TYPE
        table.facts.append(
            NodeFact(
                ("states", _state_name(number)),
                PACKML_URI,
                Ref(PACKML_URI, node),
                Ref(PACKML_URI, level),
                ua.NodeClass.Object,
                type_of=_STATE_TYPE,
            )
        )
    table.facts.append(
        NodeFact(
            ("types", "ProductionMaintenanceModeEnum"),
            PACKML_URI,
            Ref(PACKML_URI, _MODES),
            Ref(OPCUA_URI, ObjectIds.Enumeration),
            ua.NodeClass.DataType,
            ObjectIds.HasSubtype,
        )
    )
    for number, (name, encoding) in _STRUCTURES.items():
        table.structure_type(PACKML_URI, number, name, encoding)


def _machine(table: Table, shown: Mapping[NodePath, ua.DataValue], packml: int) -> None:
    machines = table.folder(MACHINERY_URI, _MACHINES, "Machines")
    table.machine(MACHINE, machines, Ref(PACKML_URI, 6))
    table.part(_ADMIN, PACKML_URI, Ref(PACKML_URI, 5))
    table.part(_STATUS, PACKML_URI, Ref(PACKML_URI, 4))
    identification: NodePath = (*_ROOT, "Identification")
    table.part(identification, DI_URI)
    table.properties(identification, DI_URI, {key: _plate(key) for key in NAMEPLATE})
    modes = ua.Variant(numbered(_MODES, packml), ua.VariantType.NodeId)
    table.properties(_STATUS, PACKML_URI, {"UnitSupportedModes": modes})
    for path, data_type in _DATA.items():
        table.variable(path, PACKML_URI, data_type, shown[path])
    for path, (type_number, methods) in _LEVELS.items():
        table.part(path, PACKML_URI, Ref(PACKML_URI, type_number))
        _state(table, (*path, "CurrentState"))
        for name in methods:
            given = [argument("Parameter", numbered(16, packml), is_array=True)]
            table.method((*path, name), PACKML_URI, given if name == "Start" else ())
    mode = argument("RequestedMode", numbered(ObjectIds.Int32, 0))
    table.method(_SET_UNIT_MODE, PACKML_URI, [mode])


def _plate(name: str) -> ua.Variant:
    if name in {"Manufacturer", "Model"}:
        text = ua.LocalizedText(NAMEPLATE[name], "en")
        return ua.Variant(text, ua.VariantType.LocalizedText)
    return ua.Variant(NAMEPLATE[name], ua.VariantType.String)


_DATA: Mapping[NodePath, Ref] = {
    (*_ADMIN, "ProdProcessedCount"): Ref(PACKML_URI, 14),
    (*_ADMIN, "ProdDefectiveCount"): Ref(PACKML_URI, 14),
    (*_STATUS, "Parameter"): Ref(PACKML_URI, 16),
    (*_STATUS, "UnitModeCurrent"): Ref(PACKML_URI, _MODES),
    (*_STATUS, "EquipmentStarved"): Ref(OPCUA_URI, ObjectIds.Boolean),
}


def _state(table: Table, current: NodePath) -> None:
    nothing = good(ua.LocalizedText("", "en"), ua.VariantType.LocalizedText)
    localized = Ref(OPCUA_URI, ObjectIds.LocalizedText)
    table.variable(current, OPCUA_URI, localized, nothing, type_of=_STATE_VARIABLE)
    table.properties(
        current,
        OPCUA_URI,
        {
            "Id": ua.Variant(ua.NodeId(), ua.VariantType.NodeId),
            "Number": ua.Variant(0, ua.VariantType.UInt32),
        },
    )

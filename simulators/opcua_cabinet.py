"""The simulated cabinet as a LADS device over OPC UA: its table of nodes, ready to be served.

Source: OPC 30500-1 LADS 1.00 and its nodeset of 2023-11-30, OPC 10000-100 DI. The types carry no
more than an instance needs to be recognised.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua_cabinet.codec import DI_URI, LADS_URI, STATE_IDS, CoverState
from simulators.opcua import OPCUA_URI, Keys, NodeFact, NodePath, Ref, serve_opcua
from simulators.opcua_cabinet_model import NAMES, CabinetModel
from simulators.opcua_table import BASE_OBJECT, Table, argument, good, numbered
from simulators.serve import Served
from simulators.wire import Wire

SIMULATOR_URI = "urn:dispensed:simulators:opcua_cabinet"
_DEVICE: NodePath = ("Cabinet",)
_UNIT: NodePath = (*_DEVICE, "FunctionalUnitSet", "Drawers")
_FUNCTIONS: NodePath = (*_UNIT, "FunctionSet")
_LOCK: NodePath = (*_UNIT, "Lock")
_NUMBERS: Mapping[CoverState, int] = {state: number for number, state in STATE_IDS.items()}
_TYPES: Mapping[int, str] = {
    1002: "LADSDeviceType",
    1003: "FunctionalUnitType",
    1010: "CoverStateMachineType",
    1011: "CoverFunctionType",
    1023: "FunctionalUnitSetType",
    1026: "FunctionSetType",
}
_METHODS = ("Open", "Close", "Lock", "Unlock")
_LOCK_TYPE = 6388
_DEVICE_SET = 5001


class CabinetFace:
    """The cabinet as OPC UA shows it."""

    namespaces: Sequence[str] = (SIMULATOR_URI, DI_URI, LADS_URI)

    def __init__(self, model: CabinetModel) -> None:
        self._model = model

    @property
    def model(self) -> CabinetModel:
        """The machine."""
        return self._model

    @property
    def busy(self) -> bool:
        """Whether the passing of time will change anything."""
        return self._model.busy

    def nodes(self, index: Mapping[str, int]) -> Sequence[NodeFact]:
        """Return the table of nodes, parents first."""
        table = Table(SIMULATOR_URI)
        types = {
            name: table.node_type(LADS_URI, number, name, BASE_OBJECT)
            for number, name in _TYPES.items()
        }
        lock = table.node_type(DI_URI, _LOCK_TYPE, "LockingServicesType", BASE_OBJECT)
        devices = table.folder(DI_URI, _DEVICE_SET, "DeviceSet")
        table.machine(_DEVICE[0], devices, types["LADSDeviceType"])
        table.part((*_DEVICE, "Identification"), DI_URI)
        table.properties((*_DEVICE, "Identification"), DI_URI, _plate())
        table.part(_UNIT[:2], LADS_URI, types["FunctionalUnitSetType"])
        table.part(_UNIT, SIMULATOR_URI, types["FunctionalUnitType"])
        table.part(_LOCK, DI_URI, lock)
        context = argument("Context", numbered(ObjectIds.String, 0))
        for name in ("InitLock", "RenewLock", "ExitLock"):
            table.method((*_LOCK, name), DI_URI, [context] if name == "InitLock" else [])
        table.part(_FUNCTIONS, LADS_URI, types["FunctionSetType"])
        table.part((*_FUNCTIONS, "Light"), SIMULATOR_URI)  # a function that is no cover
        shown = self.values(index)
        for name in NAMES:
            self._add_cover(table, name, types, shown)
        return table.facts

    def _add_cover(
        self,
        table: Table,
        name: str,
        types: Mapping[str, Ref],
        shown: Mapping[NodePath, ua.DataValue],
    ) -> None:
        table.part((*_FUNCTIONS, name), SIMULATOR_URI, types["CoverFunctionType"])
        machine: NodePath = (*_FUNCTIONS, name, "CoverState")
        table.part(machine, LADS_URI, types["CoverStateMachineType"])
        current: NodePath = (*machine, "CurrentState")
        localized = Ref(OPCUA_URI, ObjectIds.LocalizedText)
        kind = Ref(OPCUA_URI, ObjectIds.FiniteStateVariableType)
        table.variable(current, OPCUA_URI, localized, shown[current], type_of=kind)
        number: NodePath = (*current, "Id")
        table.property(number, OPCUA_URI, Ref(OPCUA_URI, ObjectIds.NodeId), shown[number])
        for method in _METHODS:
            table.method((*machine, method), LADS_URI)

    def values(self, index: Mapping[str, int]) -> Mapping[NodePath, ua.DataValue]:
        """Return what the variables that change show at present."""
        values: dict[NodePath, ua.DataValue] = {}
        for name in NAMES:
            state = self._model.shown(name)
            current: NodePath = (*_FUNCTIONS, name, "CoverState", "CurrentState")
            text = ua.LocalizedText(state.value, "en")
            values[current] = good(text, ua.VariantType.LocalizedText)
            node = numbered(_NUMBERS[state], index[LADS_URI])
            values[*current, "Id"] = good(node, ua.VariantType.NodeId)
        return values

    def call(self, path: NodePath, arguments: Sequence[ua.Variant]) -> int | list[ua.Variant]:
        """Carry out a method; the methods of the lock give back their status."""
        del arguments
        model = self._model
        if path[:-1] == _LOCK:
            lock = {"InitLock": model.init_lock, "RenewLock": model.renew_lock}
            status = lock.get(path[-1], model.exit_lock)()
            return [ua.Variant(status, ua.VariantType.Int32)]
        done = model.command(path[-3], path[-1])
        return StatusCodes.Good if done else StatusCodes.BadInvalidState


def _plate() -> dict[str, ua.Variant]:
    localized = ua.VariantType.LocalizedText
    return {
        "Manufacturer": ua.Variant(ua.LocalizedText("dispensed", "en"), localized),
        "Model": ua.Variant(ua.LocalizedText("Simulated cabinet", "en"), localized),
        "SerialNumber": ua.Variant("SIM-0003", ua.VariantType.String),
        "SoftwareRevision": ua.Variant("1.0", ua.VariantType.String),
    }


def make(seed: int) -> CabinetModel:
    """Return a cabinet whose drawers are all locked."""
    return CabinetModel(seed)


def serve(
    model: CabinetModel, wire: Wire, address: str, *, keys: Keys | None = None
) -> AbstractAsyncContextManager[Served]:
    """Serve a cabinet on `opc.tcp://HOST:PORT`, port 0 any free; with `keys` only securely."""
    return serve_opcua(CabinetFace(model), wire, address, keys=keys)

"""The OPC 40200 nodes of the simulated scale: a table of facts, and what its variables show.

Source: OPC 40200 1.01 and the node ids of its nodeset of 2023-03-01; OPC 10000-100 DI for
`DeviceSet` and the nameplate. The types carry only what an instance needs to be recognised. Nearly
everything is optional there, so one scale can be shown in several views, each with its own choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua40200.codec import (
    PRINTABLE_ENCODING_ID,
    SCALES_URI,
    WEIGHT_ENCODING_ID,
    Printed,
    Weight,
    encode_printed,
    encode_weight,
)
from drivers.opcua_binary import PIECE_UNIT_ID, UNITS_URI, unit_id_of
from simulators.opcua import OPCUA_URI, NodeFact, NodePath, Ref
from simulators.opcua40200_model import ScaleModel
from simulators.opcua_table import Table, argument, doubtful, good, numbered, structure

SIMULATOR_URI = "urn:dispensed:simulators:opcua40200"
DI_URI = "http://opcfoundation.org/UA/DI/"
_DEVICE_SET = 5001
_SCALE_TYPE, _COUNTING_TYPE, _SIMPLE_TYPE = 2, 6, 3
_WEIGHT_ITEM, _MEASURED_ITEM = 53, 52
_WEIGHT_TYPE, _PRINTABLE_TYPE = 55, 56
_MICROGRAM = unit_id_of("MC")
_GRAM = unit_id_of("GRM")
_DOUBLE = Ref(OPCUA_URI, ObjectIds.Double)
_BOOLEAN = Ref(OPCUA_URI, ObjectIds.Boolean)
_UNIT = Ref(OPCUA_URI, ObjectIds.EUInformation)
_PER_GRAM = {_GRAM: Decimal(1), _MICROGRAM: Decimal(1_000_000)}
METHODS = ("SetZero", "SetTare", "ClearTare", "SetPresetTare")
COUNTING = ("SetReferencePieceWeight", "SetNumberOfReferencePieces", "StartReference")


@dataclass(frozen=True, slots=True)
class View:
    """How a scale shows itself: the name of its object, and which optional nodes it has."""

    name: str
    printed: bool = False
    single: bool = False
    precise: bool = False
    tells_stability: bool = False
    methods: bool = False
    counts: bool = False


FULL = View("Scale", True, True, True, True, True, True)  # noqa: FBT003 - a row of a table
SINGLE = View("Single", single=True, precise=True, tells_stability=True)
PLAIN = View("Plain", methods=True)


class ScaleFace:
    """The scale as OPC UA shows it, in one view or in several."""

    namespaces: Sequence[str] = (SIMULATOR_URI, DI_URI, SCALES_URI)

    def __init__(self, model: ScaleModel, views: Sequence[View]) -> None:
        self._model = model
        self._views = views

    @property
    def model(self) -> ScaleModel:
        """The machine."""
        return self._model

    @property
    def busy(self) -> bool:
        """Whether the passing of time will change anything: the pan is on its way."""
        return not self._model.stable

    # ------------------------------------------------------------ the table

    def nodes(self, index: Mapping[str, int]) -> Sequence[NodeFact]:
        """Return the table of nodes, parents first."""
        table = Table(SIMULATOR_URI)
        base = Ref(OPCUA_URI, ObjectIds.BaseObjectType)
        device = table.node_type(SCALES_URI, _SCALE_TYPE, "ScaleDeviceType", base)
        counting = table.node_type(SCALES_URI, _COUNTING_TYPE, "PieceCountingScaleType", device)
        simple = table.node_type(SCALES_URI, _SIMPLE_TYPE, "SimpleScaleType", device)
        analog = Ref(OPCUA_URI, ObjectIds.AnalogItemType)
        item = table.variable_type(SCALES_URI, _WEIGHT_ITEM, "WeightItemType", analog)
        pieces = table.variable_type(SCALES_URI, _MEASURED_ITEM, "MeasuredItemType", analog)
        table.structure_type(SCALES_URI, _WEIGHT_TYPE, "WeightType", WEIGHT_ENCODING_ID)
        table.structure_type(
            SCALES_URI, _PRINTABLE_TYPE, "PrintableWeightType", PRINTABLE_ENCODING_ID
        )
        devices = table.folder(DI_URI, _DEVICE_SET, "DeviceSet")
        shown = self.values(index)
        for view in self._views:
            table.machine(view.name, devices, counting if view.counts else simple)
            self._plate(table, view)
            for path, value in shown.items():
                if path[0] == view.name:
                    kinds = {"CurrentWeight": item, "CurrentPieceCount": pieces}
                    _show(table, path, value, kinds)
            self._methods(table, view)
        return table.facts

    def _plate(self, table: Table, view: View) -> None:
        localized, text = ua.VariantType.LocalizedText, ua.VariantType.String
        table.properties(
            (view.name,),
            DI_URI,
            {
                "Manufacturer": ua.Variant(ua.LocalizedText("dispensed", "en"), localized),
                "Model": ua.Variant(ua.LocalizedText("Simulated scale", "en"), localized),
                "SerialNumber": ua.Variant(self._model.serial, text),
                "SoftwareRevision": ua.Variant("1.0", text),
            },
        )
        units = [_unit(_GRAM, "g"), _unit(_MICROGRAM, "ug")]
        path = (view.name, "AllowedEngineeringUnits")
        table.property(path, SCALES_URI, _UNIT, good(units, ua.VariantType.ExtensionObject))

    def _methods(self, table: Table, view: View) -> None:
        number = numbered(ObjectIds.UInt32, 0)
        unit = argument("EngineeringUnits", numbered(ObjectIds.EUInformation, 0))
        arguments = {
            "SetPresetTare": [argument("PresetTare", numbered(ObjectIds.Double, 0)), unit],
            "SetReferencePieceWeight": [argument("ReferencePieceWeight", number), unit],
            "SetNumberOfReferencePieces": [argument("NumberOfReferencePieces", number)],
            "StartReference": [argument("NumberOfReferencePieces", number)],
        }
        names = (METHODS if view.methods else ()) + (COUNTING if view.counts else ())
        for name in names:
            table.method((view.name, name), SCALES_URI, arguments.get(name, ()))

    # ------------------------------------------------------------ the variables

    def values(self, index: Mapping[str, int]) -> Mapping[NodePath, ua.DataValue]:
        """Return what the variables show at present."""
        shown: dict[NodePath, ua.DataValue] = {}
        for view in self._views:
            for path, value in self._view(view, index[SCALES_URI]).items():
                shown[view.name, *path] = value
        return shown

    def _view(self, view: View, scales: int) -> dict[NodePath, ua.DataValue]:
        model, double, flag = self._model, ua.VariantType.Double, ua.VariantType.Boolean
        item = "CurrentWeight"
        weight = Weight(float(model.gross), float(model.net), float(model.tare))
        body = structure(WEIGHT_ENCODING_ID, scales, encode_weight(weight))
        value = good(body, ua.VariantType.ExtensionObject)
        if model.faults.active("uncertain"):
            value = doubtful(value, StatusCodes.UncertainSensorNotAccurate)
        uri = SIMULATOR_URI if model.faults.active("foreign_unit") else UNITS_URI
        grams = _unit(_GRAM, "g", uri)
        reach = ua.Range(Low=ua.Double(0.0), High=ua.Double(float(model.capacity)))
        shown: dict[NodePath, ua.DataValue] = {
            (item,): value,
            (item, "EngineeringUnits"): good(grams, ua.VariantType.ExtensionObject),
            (item, "EURange"): good(reach, ua.VariantType.ExtensionObject),
            (item, "Overload"): good(model.over, flag),
            (item, "Underload"): good(model.under, flag),
        }
        if view.printed:
            printed = Printed(str(model.gross), model.printed_net(), str(model.tare))
            body = structure(PRINTABLE_ENCODING_ID, scales, encode_printed(printed))
            shown[item, "PrintableValue"] = good(body, ua.VariantType.ExtensionObject)
        if view.single:
            shown[item, "Gross"] = good(weight.gross, double)
            shown[item, "Net"] = good(weight.net, double)
            shown[item, "Tare"] = good(weight.tare, double)
        if view.precise:
            shown[item, "ValuePrecision"] = good(float(model.decimals), double)
        if view.tells_stability:
            shown[item, "WeightStable"] = good(model.stable, flag)
            shown[item, "InsideZero"] = good(model.inside_zero, flag)
        if view.counts:
            pieces = "CurrentPieceCount"
            unit = _unit(PIECE_UNIT_ID, "pcs")
            shown[pieces,] = good(model.pieces, ua.VariantType.Int32)
            shown[pieces, "EngineeringUnits"] = good(unit, ua.VariantType.ExtensionObject)
            shown[pieces, "EURange"] = good(reach, ua.VariantType.ExtensionObject)
        return shown

    # ------------------------------------------------------------ the methods

    def call(self, path: NodePath, arguments: Sequence[ua.Variant]) -> int:
        """Carry out a method; return an OPC UA status code."""
        model, given = self._model, [each.Value for each in arguments]
        match path[-1], given:
            case "SetZero", []:
                done = model.zero()
            case "SetTare", []:
                done = model.take_tare()
            case "ClearTare", []:
                done = model.preset_tare(0.0)
            case "SetPresetTare", [float(grams), ua.EUInformation() as unit]:
                if (unit.UnitId, unit.NamespaceUri) != (_GRAM, UNITS_URI):
                    return StatusCodes.BadInvalidArgument
                done = model.preset_tare(grams)
            case "SetReferencePieceWeight", [int(number), ua.EUInformation() as unit]:
                if unit.UnitId not in _PER_GRAM:
                    return StatusCodes.BadInvalidArgument
                done = model.refer(Decimal(number) / _PER_GRAM[unit.UnitId])
            case "SetNumberOfReferencePieces", [int(number)]:
                done = model.refer_pieces(number)
            case "StartReference", [int(number)]:
                done = model.start_reference(number)
            case _:
                return StatusCodes.BadInvalidArgument
        return StatusCodes.Good if done else StatusCodes.BadInvalidState


def _unit(number: int, name: str, uri: str = UNITS_URI) -> ua.EUInformation:
    unit = ua.EUInformation()
    unit.NamespaceUri = uri
    unit.UnitId = ua.Int32(number)
    unit.DisplayName = ua.LocalizedText(name, "en")
    return unit


def _show(table: Table, path: NodePath, shown: ua.DataValue, kinds: Mapping[str, Ref]) -> None:
    """Add one variable of the scale, or one property of its weight."""
    name = path[-1]
    if name in kinds:
        data_type = Ref(SCALES_URI, _WEIGHT_TYPE) if name == "CurrentWeight" else _INT32
        table.variable(path, SCALES_URI, data_type, shown, type_of=kinds[name])
        return
    uri = OPCUA_URI if name in _DATA_ACCESS else SCALES_URI
    table.property(path, uri, _DATA_TYPES[name], shown)


_INT32 = Ref(OPCUA_URI, ObjectIds.Int32)
_DATA_ACCESS = frozenset({"EngineeringUnits", "EURange", "ValuePrecision"})
_DATA_TYPES: Mapping[str, Ref] = {
    "EngineeringUnits": _UNIT,
    "EURange": Ref(OPCUA_URI, ObjectIds.Range),
    "PrintableValue": Ref(SCALES_URI, _PRINTABLE_TYPE),
    **dict.fromkeys(("ValuePrecision", "Gross", "Net", "Tare"), _DOUBLE),
    **dict.fromkeys(("Overload", "Underload", "WeightStable", "InsideZero"), _BOOLEAN),
}

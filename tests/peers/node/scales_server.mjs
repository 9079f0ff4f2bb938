// A counting scale served by node-opcua from its own Scales nodeset: an implementation that knows
// nothing of ours. Usage: node scales_server.mjs PKI_FOLDER. Two scales stand in DeviceSet: "Bench"
// with every optional node, "Floor" with the mandatory ones. Prints {"called": NAME, ...} per method.
import opcua from "node-opcua";
import { prepare, serve, tell } from "./opcua_server.mjs";

const { nodesets, DataType, StatusCodes, coerceLocalizedText } = opcua;
const SCALES = "http://opcfoundation.org/UA/Scales/V2/";
const DI = "http://opcfoundation.org/UA/DI/";
const CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact";

const server = await prepare("/scale",
  [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.packML, nodesets.scales]);
const space = server.engine.addressSpace;
const index = space.getNamespaceIndex(SCALES);
const di = space.getNamespaceIndex(DI);
const weightType = space.findDataType("WeightType", index);
const printedType = space.findDataType("PrintableWeightType", index);
const deviceSet = space.rootFolder.objects.getFolderElementByName("DeviceSet", di);

const unit = (unitId, name) => ({
  namespaceUri: CEFACT, unitId, displayName: coerceLocalizedText(name), description: null,
});
const gram = unit(4674125, "g");
const euInformation = space.findDataType("EUInformation", 0);
const structure = (type, fields) => ({
  dataType: DataType.ExtensionObject, value: space.constructExtensionObject(type, fields),
});
const load = { gross: 62.5, tare: 0 };
const net = () => load.gross - load.tare;
let pieceGrams = 0.25;

function scale(typeName, name, optionals) {
  const made = space.findObjectType(typeName, index).instantiate({
    browseName: name, organizedBy: deviceSet, optionals,
  });
  const plate = made.getChildByName("Identification", di);
  const set = (property, dataType, value) =>
    plate.getPropertyByName(property, di).setValueFromSource({ dataType, value });
  set("Manufacturer", DataType.LocalizedText, coerceLocalizedText("A peer"));
  set("SerialNumber", DataType.String, `PEER-${name}`);
  return made;
}
const bench = scale("PieceCountingScaleType", "Bench", [
  "CurrentWeight.PrintableValue", "CurrentWeight.Net", "CurrentWeight.Gross", "CurrentWeight.Tare",
  "CurrentWeight.WeightStable", "CurrentWeight.ValuePrecision", "AllowedEngineeringUnits",
  "SetZero", "SetTare", "ClearTare", "SetPresetTare", "StartReference",
]);
const floor = scale("SimpleScaleType", "Floor", []);

function show(made) {
  const weight = made.getComponentByName("CurrentWeight", index);
  const put = (name, variant, namespace = index) =>
    weight.getPropertyByName(name, namespace)?.setValueFromSource(variant);
  const bool = (value) => ({ dataType: DataType.Boolean, value });
  const double = (value) => ({ dataType: DataType.Double, value });
  const values = { gross: load.gross, net: net(), tare: load.tare };
  weight.setValueFromSource(structure(weightType, values));
  put("PrintableValue", structure(printedType, {
    gross: load.gross.toFixed(2), net: net().toFixed(2), tare: load.tare.toFixed(2),
  }));
  put("Gross", double(load.gross));
  put("Net", double(net()));
  put("Tare", double(load.tare));
  put("Overload", bool(false));
  put("Underload", bool(false));
  put("WeightStable", bool(true));
  put("ValuePrecision", double(2), 0);
  put("EngineeringUnits", structure(euInformation, gram), 0);
  put("EURange", structure(space.findDataType("Range", 0), { low: 0, high: 600 }), 0);
  made.getComponentByName("CurrentPieceCount", index)?.setValueFromSource(
    { dataType: DataType.UInt32, value: Math.round(net() / pieceGrams) });
}
function publish() {
  show(bench);
  show(floor);
}
function bind(name, act) {
  bench.getMethodByName(name, index).bindMethod((inputs, context, callback) => {
    const given = inputs.map(({ value }) => value?.unitId ?? value);
    tell({ called: name, given });
    act(...given);
    publish();
    return callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
  });
}
bind("SetTare", () => { load.tare = load.gross; });
bind("ClearTare", () => { load.tare = 0; });
bind("SetPresetTare", (tare) => { load.tare = tare; });
bind("SetZero", () => { load.gross = 0; load.tare = 0; });
bind("SetReferencePieceWeight", (weight) => { pieceGrams = weight / 1000; });
bench.getPropertyByName("AllowedEngineeringUnits", index).setValueFromSource({
  dataType: DataType.ExtensionObject,
  arrayType: opcua.VariantArrayType.Array,
  value: [gram, unit(5064525, "mg")].map((each) => space.constructExtensionObject(euInformation, each)),
});
publish();
await serve(server);

// A cabinet of drawers served by node-opcua from its own LADS nodeset: an implementation that knows
// nothing of ours. Usage: node lads_server.mjs PKI_FOLDER. Prints a line for each method called. The
// drawer "Middle" is pushed shut again, and locks, a while after it was opened.
import opcua from "node-opcua";
import { prepare, serve, tell } from "./opcua_server.mjs";

const { nodesets, Variant, DataType, StatusCodes, coerceLocalizedText } = opcua;
const LADS = "http://opcfoundation.org/UA/LADS/";
const DI = "http://opcfoundation.org/UA/DI/";
const MOVE_MS = 30;
const SHUT_MS = 500;

const server = await prepare("/cabinet",
  [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.amb, nodesets.lads]);
const space = server.engine.addressSpace;
const lads = space.getNamespaceIndex(LADS);
const di = space.getNamespaceIndex(DI);
const devices = space.rootFolder.objects.getFolderElementByName("DeviceSet", di);
const device = space.findObjectType("LADSDeviceType", lads).instantiate({
  browseName: "Cupboard", componentOf: devices,
});
const plate = device.getComponentByName("Identification", di);
const write = (name, dataType, value) =>
  plate.getChildByName(name, di).setValueFromSource({ dataType, value });
write("SerialNumber", DataType.String, "N-77");
write("Manufacturer", DataType.LocalizedText, coerceLocalizedText("A cupboard maker"));
const unit = space.findObjectType("FunctionalUnitType", lads).instantiate({
  browseName: "Narcotics",
  componentOf: device.getComponentByName("FunctionalUnitSet", lads),
  optionals: ["FunctionSet"],
});
const lock = unit.getComponentByName("Lock", di);
let held = false;
function bindLock(name, act) {
  lock.getMethodByName(name, di).bindMethod((inputs, context, callback) => {
    const status = act();
    tell({ lock: name, status });
    callback(null, {
      statusCode: StatusCodes.Good,
      outputArguments: [new Variant({ dataType: DataType.Int32, value: status })],
    });
  });
}
bindLock("InitLock", () => { if (held) return -1; held = true; return 0; });
bindLock("RenewLock", () => (held ? 0 : -1));
bindLock("ExitLock", () => { const was = held; held = false; return was ? 0 : -1; });

const machineType = space.findObjectType("CoverStateMachineType", lads);
const coverType = space.findObjectType("CoverFunctionType", lads);
const covers = new Map();
function enter(name, state) {
  const cover = covers.get(name);
  cover.state = state;
  const current = cover.machine.getComponentByName("CurrentState", 0);
  current.setValueFromSource({ dataType: DataType.LocalizedText, value: coerceLocalizedText(state) });
  current.getPropertyByName("Id", 0).setValueFromSource(
    { dataType: DataType.NodeId, value: machineType.getComponentByName(state, lads).nodeId });
}
for (const name of ["Top", "Middle", "Bottom"]) {
  const cover = coverType.instantiate({
    browseName: name,
    componentOf: unit.getComponentByName("FunctionSet", lads),
    optionals: ["CoverState.Open", "CoverState.Unlock"],
  });
  covers.set(name, { machine: cover.getComponentByName("CoverState", lads), state: "" });
  enter(name, "Locked");
  const bind = (method, from, passing, end) =>
    covers.get(name).machine.getMethodByName(method, lads).bindMethod((inputs, context, callback) => {
      if (!held || covers.get(name).state !== from) {
        return callback(null, { statusCode: StatusCodes.BadInvalidState });
      }
      tell({ called: `${method} ${name}` });
      enter(name, passing);
      setTimeout(() => enter(name, end), MOVE_MS);
      if (name === "Middle" && end === "Opened") setTimeout(() => enter(name, "Locked"), SHUT_MS);
      return callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
    });
  bind("Unlock", "Locked", "Unlocking", "Closed");
  bind("Open", "Closed", "Opening", "Opened");
}

await serve(server);

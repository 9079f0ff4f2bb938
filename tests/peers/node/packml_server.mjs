// A PackML counter served by node-opcua from its own nodeset: an implementation that knows nothing
// of ours. Usage: node packml_server.mjs PKI_FOLDER. Prints one JSON line {"port": N} when it is up
// and one per started job; ends when its standard input is closed.
import opcua from "node-opcua";
import { prepare, serve, tell } from "./opcua_server.mjs";

const {
  nodesets, DataType, VariantArrayType, StatusCodes, coerceLocalizedText, NodeId,
} = opcua;
const PACKML = "http://opcfoundation.org/UA/PackML/";
const PIECE_MS = 2;

const server = await prepare("/counter", [nodesets.standard, nodesets.di, nodesets.packML]);
const space = server.engine.addressSpace;
const index = space.getNamespaceIndex(PACKML);
const own = space.getOwnNamespace();
const find = (type, name) => space.findObjectType(type, index).getComponentByName(name, index);
const machine = space.findObjectType("PackMLBaseObjectType", index).instantiate({
  browseName: "Vial filler",
  organizedBy: space.rootFolder.objects,
  optionals: [
    "Admin.ProdProcessedCount", "Admin.ProdDefectiveCount", "Status.Parameter",
    "BaseStateMachine.Abort", "BaseStateMachine.Clear",
    "BaseStateMachine.MachineState.Stop", "BaseStateMachine.MachineState.Reset",
    "BaseStateMachine.MachineState.ExecuteState.Start",
    "BaseStateMachine.MachineState.ExecuteState.Reset",
  ],
});
const base = machine.getComponentByName("BaseStateMachine", index);
const middle = base.getComponentByName("MachineState", index);
const inner = middle.getComponentByName("ExecuteState", index);

function show(level, type, name) {
  const current = level.getComponentByName("CurrentState", 0);
  const text = coerceLocalizedText(name ?? "");
  const good = name === null ? StatusCodes.BadStateNotActive : StatusCodes.Good;
  current.setValueFromSource({ dataType: DataType.LocalizedText, value: text }, good);
  const id = name === null ? NodeId.nullNodeId : find(type, name).nodeId;
  current.getPropertyByName("Id", 0).setValueFromSource({ dataType: DataType.NodeId, value: id }, good);
}
const BASE = "PackMLBaseStateMachineType";
const MIDDLE = "PackMLMachineStateMachineType";
const INNER = "PackMLExecuteStateMachineType";
let state = "Stopped";
function enter(name) {
  state = name;
  const stopped = ["Stopped", "Stopping", "Clearing"].includes(name);
  show(base, BASE, "Cleared");
  show(middle, MIDDLE, stopped ? name : "Running");
  show(inner, INNER, stopped ? null : name);
}

const admin = machine.getComponentByName("Admin", index);
const status = machine.getComponentByName("Status", index);
const CountType = space.findDataType("PackMLCountDataType", index);
const counts = { ProdProcessedCount: { count: 0, acc: 2_000_000 }, ProdDefectiveCount: { count: 0, acc: 7 } };
function publish() {
  for (const [name, { count, acc }] of Object.entries(counts)) {
    const value = space.constructExtensionObject(CountType, {
      ID: 42, name: "tablets", count, accCount: acc,
      unit: {
        namespaceUri: "http://www.opcfoundation.org/UA/units/un/cefact", unitId: 4732983,
        displayName: coerceLocalizedText("piece"), description: { locale: "de", text: "Stück" },
      },
    });
    admin.getComponentByName(name, index).setValueFromSource(
      { dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value: [value] });
  }
}
function parameters(value) {
  status.getComponentByName("Parameter", index).setValueFromSource(
    { dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value });
}

let wanted = 0;
let done = 0;
let timer = null;
function piece() {
  if (state !== "Execute") return;
  counts.ProdProcessedCount.count += 1;
  counts.ProdProcessedCount.acc += 1;
  done += 1;
  if (done % 10 === 0) {
    counts.ProdDefectiveCount.count += 1;
    counts.ProdDefectiveCount.acc += 1;
  }
  if (wanted === 30 && done === 15) counts.ProdProcessedCount.count = 0;
  publish();
  if (done >= wanted) return later("Completing", "Complete");
  timer = setTimeout(piece, PIECE_MS);
}
function later(passing, end, then) {
  clearTimeout(timer);
  enter(passing);
  timer = setTimeout(() => { enter(end); then?.(); }, 20);
}
function bind(level, name, allowed, act) {
  level.getMethodByName(name, index).bindMethod((inputs, context, callback) => {
    if (!allowed.includes(state)) return callback(null, { statusCode: StatusCodes.BadInvalidState });
    act(inputs);
    return callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
  });
}
bind(middle, "Reset", ["Stopped"], () => later("Resetting", "Idle"));
bind(inner, "Reset", ["Complete"], () => later("Resetting", "Idle"));
bind(middle, "Stop", ["Idle", "Starting", "Execute", "Completing", "Complete", "Resetting"],
  () => later("Stopping", "Stopped"));
bind(inner, "Start", ["Idle"], ([argument]) => {
  const given = argument.value.map(({ name, value, unit }) => ({ name, value, unitId: unit.unitId }));
  tell({ started: given });
  wanted = given.find(({ name }) => name === "TargetCount").value;
  done = 0;
  parameters(argument.value);
  later("Starting", "Execute", piece);
});

enter("Stopped");
publish();
parameters([]);
own.addVariable({ componentOf: machine, browseName: "Noise", dataType: "Double", value: { dataType: DataType.Double, value: 1.5 } });
await serve(server, () => clearTimeout(timer));

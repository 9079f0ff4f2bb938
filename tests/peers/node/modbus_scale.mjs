// Modbus by the package modbus-serial, in both directions. Prints one JSON object a line.
//   server                          a WTX terminal with 123.456 g gross, tared and zeroed by handshake
//   client tcp|rtu PORT UNIT ADDRESS COUNT [REGISTER VALUE]   writes, when told to, and reads
import ModbusRTU from "modbus-serial";

const print = (value) => console.log(JSON.stringify(value));

function serve() {
  const GROSS = 123456;
  const output = new Map();
  const seen = [];
  let tare = 0;
  let net = 0;
  let raised = 0;
  const high = (value) => (value >>> 16) & 0xffff;
  const low = (value) => value & 0xffff;
  const input = () => [
    high(GROSS - tare), low(GROSS - tare), high(GROSS), low(GROSS),
    net << 7, (3 << 4) | (1 << 7) | (raised << 14) | (1 << 15),
  ];
  const server = new ModbusRTU.ServerTCP(
    {
      getHoldingRegister: (address) => {
        const registers = input();
        if (address >= registers.length) throw { modbusErrorCode: 2 };
        return registers[address];
      },
      setRegister: (address, value) => {
        output.set(address, value);
        seen.push(value);
        if (value === 1) [tare, net] = [GROSS, 1];
        if (value === 2) [tare, net] = [0, 1 - net];
        raised = value === 0 ? 0 : 1;
        print({ written: seen });
      },
    },
    { host: "127.0.0.1", port: 0, unitID: 1 },
  );
  server.on("initialized", () => print({ port: server._server.address().port }));
  process.stdin.on("end", () => process.exit(0)).resume();
}

async function ask([mode, port, unit, address, count, register, value]) {
  const client = new ModbusRTU();
  const connect = mode === "tcp" ? "connectTCP" : "connectTelnet";
  await client[connect]("127.0.0.1", { port: Number(port) });
  client.setID(Number(unit));
  client.setTimeout(5000);
  if (register !== undefined) await client.writeRegisters(Number(register), [Number(value)]);
  const answer = await client.readHoldingRegisters(Number(address), Number(count));
  print({ registers: answer.data });
  client.close(() => process.exit(0));
}

const [what, ...rest] = process.argv.slice(2);
if (what === "server") serve();
else await ask(rest);

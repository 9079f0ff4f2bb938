// What every machine served by node-opcua has in common: a server on a free port of 127.0.0.1 that
// prints one JSON line {"port": N} when it is up and ends when its standard input is closed.
import opcua from "node-opcua";

const { OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy } = opcua;

export async function prepare(resourcePath, nodesetFiles) {
  const server = new OPCUAServer({
    host: "127.0.0.1",
    port: 0,
    resourcePath,
    nodeset_filename: nodesetFiles,
    securityPolicies: [SecurityPolicy.None],
    securityModes: [MessageSecurityMode.None],
    disableDiscovery: true,
    serverCertificateManager: new OPCUACertificateManager({
      rootFolder: process.argv[2], automaticallyAcceptUnknownCertificate: true,
    }),
  });
  await server.initialize();
  return server;
}

export function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export async function serve(server, onEnd = () => {}) {
  await server.start();
  tell({ port: server.endpoints[0].port });
  process.stdin.resume();
  process.stdin.on("end", async () => {
    onEnd();
    await server.shutdown(0);
    process.exit(0);
  });
}

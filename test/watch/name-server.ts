import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface NameServer {
  /** What each name leads to from now on; of others it says that there are none. */
  readonly addresses: Map<string, readonly string[]>;
  close(): Promise<void>;
}

/** Answers, at port 53 of an address of this machine, as the one of Docker does in a compose network: IPv4 addresses of services (RFC 1035). */
export async function startNameServer(address: string): Promise<NameServer> {
  const addresses = new Map<string, readonly string[]>();
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => socket.send(answerTo(question, addresses), from.port, from.address));
  socket.bind(53, address);
  await once(socket, 'listening');
  return {
    addresses,
    close: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

const [HEADER, TYPE_A, NO_SUCH_NAME] = [12, 1, 3];

function answerTo(message: Buffer, addresses: ReadonlyMap<string, readonly string[]>): Buffer {
  const labels: string[] = [];
  let at = HEADER;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const question = message.subarray(HEADER, at + 5);
  const found = addresses.get(labels.join('.'));
  const told = message.readUInt16BE(at + 1) === TYPE_A ? (found ?? []) : [];
  const header = Buffer.alloc(HEADER);
  message.copy(header, 0, 0, 2);
  // An answer to what was asked, from who may look further.
  header.writeUInt16BE(0x8180 | (found === undefined ? NO_SUCH_NAME : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(told.length, 6);
  const records = told.map((address) => {
    // The name of the question, an address of the Internet, good for no time at all.
    const record = Buffer.from([0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    for (const [nth, part] of address.split('.').entries()) record[HEADER + nth] = Number(part);
    return record;
  });
  return Buffer.concat([header, question, ...records]);
}

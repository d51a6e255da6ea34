import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface NameServer {
  /** What each name leads to from now on. */
  readonly addresses: Map<string, readonly string[]>;
  /** Of others it says that there are none, or, as Docker's on an internal network, which asks nobody else, that it failed. */
  others: 'none' | 'failed';
  close(): Promise<void>;
}

/** Answers, at port 53 of an address of this machine, IPv4 addresses of services, as the one of Docker does in a compose network (RFC 1035). */
export async function startNameServer(address: string): Promise<NameServer> {
  const socket = createSocket('udp4');
  const server: NameServer = {
    addresses: new Map(),
    others: 'none',
    close: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
  socket.on('message', (question, from) => socket.send(answerTo(question, server), from.port, from.address));
  socket.bind(53, address);
  await once(socket, 'listening');
  return server;
}

const [HEADER, TYPE_A] = [12, 1];
const CODES = { none: 3, failed: 2 };

function answerTo(message: Buffer, { addresses, others }: NameServer): Buffer {
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
  header.writeUInt16BE(0x8180 | (found === undefined ? CODES[others] : 0), 2);
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

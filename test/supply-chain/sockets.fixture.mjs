// Preloaded by outbound.test.ts into a program and all its threads and children: every name that is looked up and every
// address that is connected to is written down, and what does not lead to this machine is refused before a packet leaves.
import { appendFileSync } from 'node:fs';
import dgram from 'node:dgram';
import dns from 'node:dns';
import net from 'node:net';
import { syncBuiltinESMExports } from 'node:module';

const file = process.env.SOCKETS_FILE;
const isHere = (host) => host === undefined || /^(localhost|127\.|::1$|0\.0\.0\.0$|\[::1\])/.test(host);
const note = (kind, host) => appendFileSync(file, `${isHere(host) ? 'here' : 'away'} ${kind} ${host ?? ''}\n`);

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  const target = typeof options === 'object' ? options : { port: options, host: args[1] };
  if (target.path === undefined) {
    note('connect', target.host);
    if (!isHere(target.host)) {
      process.nextTick(() => this.destroy(new Error('refused by the test: not this machine')));
      return this;
    }
  }
  return connect.apply(this, args);
};
for (const home of [dns, dns.promises]) {
  const lookup = home.lookup;
  home.lookup = function (host, ...rest) {
    if (host) note('lookup', host);
    if (isHere(host ?? undefined)) return lookup.call(this, host, ...rest);
    const error = Object.assign(new Error('refused by the test: not this machine'), { code: 'ENOTFOUND' });
    if (home === dns) return process.nextTick(() => rest.at(-1)(error));
    return Promise.reject(error);
  };
}
dgram.Socket.prototype.send = function () {
  note('datagram', 'somewhere');
  throw new Error('refused by the test');
};
syncBuiltinESMExports();
note('watching', undefined);

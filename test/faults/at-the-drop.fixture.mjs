// Loaded before a subgraph's own program: what happens where it would drop stale keys from the cache.
import { Cache } from '#libs/cache';

const drop = Cache.prototype.drop;
let armed = false;
process.on('SIGUSR2', () => {
  armed = true;
  process.stderr.write('armed\n');
});

Cache.prototype.drop = function (keys) {
  // The naive program knows no drops at all: what it kept leaves by its lifetime only.
  if (process.env.AT_THE_DROP === 'forget') return Promise.resolve();
  if (armed) process.kill(process.pid, 'SIGKILL');
  return drop.call(this, keys);
};

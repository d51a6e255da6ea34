/** Preloaded into a program that is to come to the limit of its heap: from SIGUSR2 on it keeps twenty megabytes more each second. */
const kept: number[][] = [];
process.on('SIGUSR2', () => {
  setInterval(() => kept.push(Array.from({ length: 50_000 }, (_, nth) => nth + 0.5)), 20);
});

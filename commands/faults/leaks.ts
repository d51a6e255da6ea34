/**
 * Preloaded into a program that is to come to the limit of its heap: from SIGUSR2 on it keeps ten megabytes more each second, a tenth of its
 * heap: at twice that one in three times V8 came to the limit between two collections, and nobody had known.
 */
const kept: number[][] = [];
process.on('SIGUSR2', () => {
  setInterval(() => kept.push(Array.from({ length: 25_000 }, (_, nth) => nth + 0.5)), 20);
});

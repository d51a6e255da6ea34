// A program that keeps four megabytes more each second.
const kept = [];
setInterval(() => kept.push(Array.from({ length: 50_000 }, (_, nth) => nth + 0.5)), 100).unref();

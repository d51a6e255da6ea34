/** Of the day, so that each sees other stories; what failed is seen again by `SEED=n npm test -- part/of/its/path`. */
export const SEED = /^\d+$/.test(process.env['SEED'] ?? '')
  ? Number(process.env['SEED'])
  : Math.floor(Date.now() / 86_400_000);

/** Numbers that look random and follow from the seed: `draw(n)` is a whole number from 0 to n - 1. */
export function drawer(seed: number): (below: number) => number {
  // Park and Miller's minimal standard; 0 would stay 0.
  let state = (Math.abs(Math.trunc(seed)) % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** 1234567 → `1,234,567`: how commands write a number, whatever language the machine is set to. */
export function figure(count: number): string {
  return count.toLocaleString('en');
}

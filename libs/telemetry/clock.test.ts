import { afterEach, describe, expect, it } from '@jest/globals';
import { steadyClock, systemClock } from './clock.js';

describe('a clock', () => {
  const now = Date.now;
  afterEach(() => {
    Date.now = now;
  });

  it('that is steady goes on where somebody sets the time (control: the other jumps with it)', () => {
    const [steady, system] = [steadyClock(), systemClock()];
    expect(Math.abs(steady - system)).toBeLessThan(60_000);
    Date.now = () => now() - 300_000;
    expect(steadyClock()).toBeGreaterThanOrEqual(steady);
    expect(systemClock()).toBeLessThan(system - 200_000);
  });
});

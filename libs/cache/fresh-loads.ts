/** How long a load waits for one of the same id that is under way. */
const TURN_MS = 1_000;

type Texts = ReadonlyMap<string, string>;

/**
 * Loads without a lease, for when there is no store to ask. A caller may join a load only while it has not begun: one
 * under way may have read before the caller's own write. So each id has at most one load under way and one next.
 */
export class FreshLoads {
  private readonly next = new Map<string, Promise<Texts>>();
  private readonly underWay = new Map<string, Promise<Texts>>();

  /** The loads that together bring every id: those that were joined, and one of our own for the rest. */
  bring(ids: readonly string[], load: (ids: readonly string[]) => Promise<Texts>): Set<Promise<Texts>> {
    const bringing = new Set<Promise<Texts>>();
    const own: string[] = [];
    const before = new Set<Promise<Texts>>();
    for (const id of ids) {
      const joined = this.next.get(id);
      const earlier = this.underWay.get(id);
      if (joined !== undefined) bringing.add(joined);
      else own.push(id);
      if (joined === undefined && earlier !== undefined) before.add(earlier);
    }
    if (own.length > 0) {
      const loading: Promise<Texts> = this.turn(before).then(() => this.begin(own, loading, load));
      for (const id of own) this.next.set(id, loading);
      bringing.add(loading);
    }
    return bringing;
  }

  private async turn(before: ReadonlySet<Promise<unknown>>): Promise<void> {
    // Whoever asks in the same turn of the event loop comes before the next tick, and joins.
    if (before.size === 0) return new Promise((resolve) => process.nextTick(resolve));
    await Promise.race([Promise.allSettled(before), new Promise((resolve) => setTimeout(resolve, TURN_MS).unref())]);
  }

  private async begin(
    own: readonly string[],
    loading: Promise<Texts>,
    load: (ids: readonly string[]) => Promise<Texts>,
  ): Promise<Texts> {
    for (const id of own) {
      this.next.delete(id);
      this.underWay.set(id, loading);
    }
    try {
      return await load(own);
    } finally {
      for (const id of own) if (this.underWay.get(id) === loading) this.underWay.delete(id);
    }
  }
}

import type { DataSource } from 'typeorm';

/** The context of a request to one of the stock subgraphs. */
export interface Asking<Loaders> {
  /** Global id. */
  readonly viewer: string | null;
  readonly source: DataSource;
  readonly loaders: Loaders;
}

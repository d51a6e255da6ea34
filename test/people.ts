/**
 * The five people of every story. Who follows whom in the demo graph is drawn in `commands/seed`; a journey that needs an
 * empty graph signs its people up itself, by these cards.
 */
export const PASSWORD = 'tributary';

export interface Card {
  readonly handle: string;
  readonly displayName: string;
  readonly email: string;
}

export const alice: Card = { handle: 'alice', displayName: 'Alice', email: 'alice@example.org' };
export const bob: Card = { handle: 'bob', displayName: 'Bob', email: 'bob@example.org' };
export const carol: Card = { handle: 'carol', displayName: 'Carol', email: 'carol@example.org' };
export const dan: Card = { handle: 'dan', displayName: 'Dan', email: 'dan@example.org' };
export const eve: Card = { handle: 'eve', displayName: 'Eve', email: 'eve@example.org' };

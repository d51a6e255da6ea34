import { newId } from '#libs/identity';
import { Chance } from './chance.js';

export interface Person {
  readonly id: string;
  readonly handle: string;
  readonly displayName: string;
  readonly bio: string;
  readonly email: string;
  readonly joinedAt: number;
}

/** The generated world ends here, whatever today is: the same seed is the same people and the same ids. */
export const END = Date.parse('2026-11-01T00:00:00.000Z');
const YEARS_2 = 2 * 365 * 86_400_000;

/** Person number `index` of a seed; the same one in a small world and in a big one. */
export function personAt(seed: number, index: number): Person {
  const chance = new Chance(`${seed} person ${index}`);
  // More people join every month.
  const joinedAt = Math.floor(END - YEARS_2 * (1 - Math.sqrt(chance.fraction())));
  const first = chance.pick(FIRST_NAMES);
  const last = chance.pick(LAST_NAMES);
  const handle = `${first.toLowerCase()}_${index.toString(36)}${seed === 1 ? '' : `_${seed.toString(36)}`}`;
  return {
    id: newId({ now: joinedAt, random: (bytes) => chance.bytes(bytes) }),
    handle,
    displayName: `${first} ${last}`,
    bio: `${chance.pick(TRADES)}. ${chance.pick(LIKES)}.`,
    email: `${handle}@example.org`,
    joinedAt,
  };
}

const FIRST_NAMES =
  'Ada Aiko Amara Anton Asha Boris Carla Chen Dario Edda Elif Emeka Farid Greta Hana Hugo Ines Ivan Jana Jonas Kofi Lars Leila Lina Luca Mara Marek Mei Mila Nadia Niko Nora Omar Otto Pia Priya Rafa Rosa Sami Sara Sven Tariq Tilda Tomas Uma Vera Wim Yara Yuki Zoe'.split(
    ' ',
  );
const LAST_NAMES =
  'Abe Berg Costa Diallo Eriksen Fischer Garcia Haddad Ito Jansen Kaya Lund Mbeki Novak Okafor Petrov Quint Rossi Silva Tanaka Urban Varga Weiss Xu Yilmaz Zeman'.split(
    ' ',
  );
const TRADES = [
  'Baker',
  'Botanist',
  'Carpenter',
  'Cartographer',
  'Cellist',
  'Ferry pilot',
  'Gardener',
  'Librarian',
  'Nurse',
  'Potter',
  'Teacher',
  'Watchmaker',
];
const LIKES = [
  'Rivers and rain',
  'Old maps, new roads',
  'Mostly about bread',
  'Birds before breakfast',
  'Long walks, short posts',
  'Night trains',
  'Tea, no sugar',
  'Here for the jokes',
];

import { badInput, cleanText } from '#libs/failure';

/** What everybody may see of a person. The e-mail address is not here on purpose: whatever holds a `Person` may be kept and shown. */
export interface Person {
  readonly id: string;
  readonly handle: string;
  readonly displayName: string;
  readonly bio: string;
  readonly avatarUrl: string | null;
  /** RFC 3339, UTC, milliseconds. */
  readonly joinedAt: string;
}

/** A handle as somebody wrote it, case-folded. Only ASCII letters fold: a Kelvin sign is no k, and no homoglyph gets in. */
export function readHandle(written: string): string {
  if (!/^[A-Za-z0-9_]{2,30}$/.test(written)) throw badInput('a handle takes 2 to 30 of a-z, 0-9 and _', written);
  return written.toLowerCase();
}

/** A handle that somebody wants to have. */
export function takeHandle(written: string): string {
  const handle = readHandle(written);
  if (RESERVED.has(handle)) throw badInput('this handle is reserved', written);
  return handle;
}

export function cleanDisplayName(written: string): string {
  return cleanText(written, { name: 'displayName', graphemesMin: 1, graphemesMax: 64, bytesMax: 640, oneLine: true });
}

export function cleanBio(written: string): string {
  return cleanText(written, { name: 'bio', graphemesMin: 0, graphemesMax: 256, bytesMax: 2_560 });
}

/** Where browsers will fetch a picture from: https, and nothing that a page or a log could mistake for something else. */
export function cleanAvatarUrl(written: string): string {
  const expected = 'avatarUrl takes an https address of at most 2048 characters';
  // The URL parser drops tabs and line breaks silently, so they are refused before it.
  if (written.length > 2_048 || /[\s\p{C}]/u.test(written) || !URL.canParse(written)) throw badInput(expected, written);
  const url = new URL(written);
  const plain = url.protocol === 'https:' && url.hostname !== '' && url.username === '' && url.password === '';
  if (!plain || url.href.length > 2_048) throw badInput(expected, written);
  return url.href;
}

/** An address is for writing to, not for telling people apart: not unique, never searched. So its form is all that is checked. */
export function cleanEmail(written: string): string {
  const email = written.length > 320 ? '' : written.normalize('NFC');
  if (!/^[^\s@\p{C}]{1,64}@[^\s@\p{C}]{1,255}$/u.test(email))
    throw badInput(
      'email takes an address like name@example.org, of at most 64 characters before the @ and 255 behind it',
    );
  return email;
}

/** A password that somebody wants to have. It is never repeated in a message. */
export function takePassword(written: string, name = 'password'): string {
  const password = readPassword(written);
  // Code points, as NIST counts: a bound on what is typed, not on what is seen.
  const count = password === undefined ? 0 : Array.from(password).length;
  if (password === undefined || count < 8 || count > 128) throw badInput(`${name} takes 8 to 128 characters`);
  return password;
}

/**
 * A password that somebody says is theirs: NFC, so that it is the same on every keyboard. Undefined when it is too long, or no
 * text, to be anybody's; that is known before any work is spent on it.
 */
export function readPassword(written: string): string | undefined {
  if (written.length > 256 || /\p{Surrogate}/u.test(written)) return undefined;
  return written.normalize('NFC');
}

/** Names by which people would mistake somebody for the house, for everybody or for nobody, or that addresses may need one day. */
const RESERVED = new Set(
  `about abuse account accounts admin administrator all anonymous api app auth blog contact constructor deleted everyone explore
  favicon federation followers following gateway graphql guest health help here home hostmaster hasownproperty info legal log_in
  log_out login logout mail me moderator mod nobody noreply notifications null official password playground postmaster posts
  privacy prototype __proto__ robots root search security settings sign_in sign_out sign_up signin signout signup staff static
  status support system team terms tostring tributary undefined unknown user users valueof webmaster well_known www you`.split(
    /\s+/,
  ),
);

import { generateKeyPairSync, sign } from 'node:crypto';

/**
 * A certificate for a name (or 127.0.0.1) that nobody vouches for (X.509, RFC 5280, in DER by hand: Node makes keys, but no certificates).
 * `by`: an organisation, where two of one name are believed at once: of those OpenSSL tries the first. `good`: from when and until when, as
 * UTCTime.
 */
export function selfSigned(
  of = '127.0.0.1',
  by = '',
  good: readonly [string, string] = ['200101000000Z', '491231235959Z'],
): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
  const part = (oid: string, text: string): Buffer =>
    der(0x31, sequence(Buffer.from(oid, 'hex'), der(0x0c, Buffer.from(text))));
  const name = sequence(...(by === '' ? [] : [part('060355040a', by)]), part('0603550403', of));
  const validity = sequence(...good.map(time));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = sequence(der(0x02, Buffer.from([1])), ecdsaWithSha256, name, validity, name, spki);
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]);
  const cert = sequence(body, ecdsaWithSha256, der(0x03, signature)).toString('base64');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${cert.replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function time(text: string): Buffer {
  return der(0x17, Buffer.from(text));
}

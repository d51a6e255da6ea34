import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/**
 * GraphiQL from our own packages: nothing is asked of any other host, and the policy below would stop it. The four files of
 * GraphiQL and React are copied into dist by the build (commands/assets.mjs); from source they come out of node_modules.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // CodeMirror and the menus set style attributes and insert <style>; styles cannot send anything with connect-src closed.
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** File name → where it is in node_modules, for those that are not ours. */
export const VENDOR_FILES: Readonly<Record<string, string>> = {
  'graphiql.min.js': 'graphiql/graphiql.min.js',
  'graphiql.min.css': 'graphiql/graphiql.min.css',
  'react.production.min.js': 'react/umd/react.production.min.js',
  'react-dom.production.min.js': 'react-dom/umd/react-dom.production.min.js',
};
const OWN_FILES = ['index.html', 'playground.js', 'playground.css', 'tabs.js'];

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

interface Asset {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer;
  readonly etag: string;
}

/** Read at the first visit and then kept: 1.4 MB, 0.4 MB compressed. */
export class Playground {
  readonly #assets = new Map<string, Promise<Asset>>();

  /** The page itself, at GET /graphql. */
  page(request: IncomingMessage, response: ServerResponse): void {
    void this.#send('index.html', request, response);
  }

  /** A file of it, at GET /playground/<name>; false when there is none of that name. */
  file(name: string, request: IncomingMessage, response: ServerResponse): boolean {
    if (name === 'index.html' || !(OWN_FILES.includes(name) || Object.hasOwn(VENDOR_FILES, name))) return false;
    void this.#send(name, request, response);
    return true;
  }

  async #send(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const asset = await this.#asset(name);
      const zipped = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(String(request.headers['accept-encoding'] ?? ''));
      response.setHeader('content-security-policy', POLICY);
      response.setHeader('x-content-type-options', 'nosniff');
      response.setHeader('referrer-policy', 'no-referrer');
      response.setHeader('cache-control', 'no-cache');
      response.setHeader('vary', 'accept, accept-encoding');
      response.setHeader('etag', asset.etag);
      if (request.headers['if-none-match'] === asset.etag) return void response.writeHead(304).end();
      const body = zipped ? asset.gzipped : asset.bytes;
      if (zipped) response.setHeader('content-encoding', 'gzip');
      response.writeHead(200, { 'content-type': asset.type, 'content-length': body.length }).end(body);
    } catch {
      response.writeHead(404, { 'content-type': 'application/json; charset=utf-8' });
      response.end(
        '{"errors":[{"message":"The playground was not built; run npm run build.","extensions":{"code":"NOT_FOUND"}}]}',
      );
    }
  }

  #asset(name: string): Promise<Asset> {
    let asset = this.#assets.get(name);
    if (asset === undefined) {
      asset = readAsset(name);
      this.#assets.set(name, asset);
      asset.catch(() => this.#assets.delete(name));
    }
    return asset;
  }
}

async function readAsset(name: string): Promise<Asset> {
  const own = join(import.meta.dirname, 'playground', name);
  const vendor = VENDOR_FILES[name];
  const path = vendor !== undefined && !existsSync(own) ? join(import.meta.dirname, '../../node_modules', vendor) : own;
  const bytes = await readFile(path);
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  return { type: TYPES[name.slice(name.lastIndexOf('.') + 1)]!, bytes, gzipped: gzipSync(bytes), etag };
}

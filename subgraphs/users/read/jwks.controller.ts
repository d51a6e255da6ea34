import { Controller, Get, Header, type Type } from '@nestjs/common';
import type { TokenIssuer } from '#libs/identity';

/** The public keys by which everybody can check our tokens: the one page here that is for everybody. */
export function jwksController(tokens: TokenIssuer): Type {
  @Controller('.well-known/jwks.json')
  class JwksController {
    @Get()
    @Header('cache-control', 'public, max-age=300')
    keys(): object {
      return tokens.jwks();
    }
  }
  return JwksController;
}

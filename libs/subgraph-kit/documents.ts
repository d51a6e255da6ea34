import type { DynamicModule } from '@nestjs/common';
import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';

/** Under this token `subgraphModule` finds where parsed and validated documents are kept; absent: Apollo Server's own store, of 30 MiB. */
export const DOCUMENTS = Symbol('documents');

/** The module, with a store of that size for its documents. Sizes are as Apollo Server counts them: a document's JSON. */
export function keepingDocuments(module: DynamicModule, bytesMax: number): DynamicModule {
  const kept = new LRUCache<string, DocumentNode>({
    maxSize: bytesMax,
    sizeCalculation: (document) => Buffer.byteLength(JSON.stringify(document)),
  });
  const store = {
    get: (key: string) => Promise.resolve(kept.get(key)),
    set: (key: string, document: DocumentNode) => Promise.resolve(void kept.set(key, document)),
    delete: (key: string) => Promise.resolve(kept.delete(key)),
  };
  class Documents {}
  class Service {}
  const documents: DynamicModule = {
    module: Documents,
    global: true,
    providers: [{ provide: DOCUMENTS, useValue: store }],
    exports: [DOCUMENTS],
  };
  return { module: Service, imports: [documents, module] };
}

import { Agent, cacheStores, interceptors, type Dispatcher } from 'undici';

/** An HTTP cache by RFC 9111, a browser's (private) or one between (shared). `heedsVary: false` is a control: each answer is everybody's. */
export function httpCache(type: 'private' | 'shared', { heedsVary = true } = {}): Dispatcher {
  const cache = interceptors.cache({ store: new cacheStores.MemoryCacheStore(), type });
  return new Agent().compose(...(heedsVary ? [cache] : [withoutVary, cache]));
}

const withoutVary: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch(options, {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onResponseStart(controller, status, headers, text) {
      const rest = Object.entries(headers).filter(([name]) => name !== 'vary');
      handler.onResponseStart?.(controller, status, Object.fromEntries(rest), text);
    },
    onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
    onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
    onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
  });

/**
 * On an answer of a process that is `starting` or `ending`: ask others meanwhile, where there are any. With 503, `starting` says besides
 * that nothing of the request was begun, so that a mutation too may go elsewhere, as after a refused connection.
 */
export const AWAY_HEADER = 'tributary-away';

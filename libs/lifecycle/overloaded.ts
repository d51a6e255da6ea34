/**
 * On an answer of a service that had to refuse some of it because what all its requests share had run out (connections to its database):
 * fewer at once would get more done. What else is in the answer is as good as ever, so it is no 503, after which gateways would ask
 * again, and at last ask it nothing. A gateway of before does not look at it.
 */
export const OVERLOADED_HEADER = 'tributary-overloaded';

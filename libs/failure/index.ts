export { CODES, isCode, type Code } from './codes.js';
export { cut } from './cut.js';
export { Deadline, deadlineOf, timeoutText, TIMEOUT_HEADER } from './deadline.js';
export { Exhausted, Failure, asFailure, badInput, noAccount } from './failure.js';
export { fieldPath } from './field-path.js';
export { cleanText, graphemeCount, type TextRule } from './text.js';

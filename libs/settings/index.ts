export { isLoopback } from './loopback.js';
export { makeDataDir } from './data-dir.js';
export * from './kinds.js';
export { readSettings, SettingsError, type Environment, type Setting, type Settings, type Values } from './settings.js';
export { unheededIn, unheededOf, type Heeded, type Unheeded } from './unheeded.js';
export { whyUnread } from './unread.js';

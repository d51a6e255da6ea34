export { isLoopback } from './loopback.js';
export { makeDataDir } from './data-dir.js';
export * from './kinds.js';
export {
  mistakeIn,
  readSettings,
  SettingsError,
  weakSecretsIn,
  type Environment,
  type Setting,
  type Settings,
  type Values,
} from './settings.js';
export { unheededIn, unheededOf, type Heeded, type Unheeded } from './unheeded.js';
export { whyWeak } from './weak-secret.js';
export { whyUnread } from './unread.js';

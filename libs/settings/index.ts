export { makeDataDir } from './data-dir.js';
export * from './kinds.js';
export { readSettings, SettingsError, type Environment, type Setting, type Settings, type Values } from './settings.js';

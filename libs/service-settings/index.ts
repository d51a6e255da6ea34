export { missingBeside, serviceSettings, type ServiceConfig } from './service-settings.js';

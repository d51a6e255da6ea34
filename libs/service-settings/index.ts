export { missingSecrets, serviceSettings, type ServiceConfig } from './service-settings.js';

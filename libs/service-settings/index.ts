export { missingSecrets, serviceHeeds, serviceSettings, type ServiceConfig } from './service-settings.js';

export { missingBeside, serviceHeeds, serviceSettings, type ServiceConfig } from './service-settings.js';

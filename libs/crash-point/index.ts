export { arm, armFromEnvironment, isCrashPoint, type Signal } from './arm.js';
export { crashPoint, setTrap } from './crash-point.js';
export { CRASH_POINTS, type CrashPoint } from './points.js';

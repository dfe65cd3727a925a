import path from 'node:path';

export const monitoringFolder = path.resolve(import.meta.dirname, '../../../charts/aad-pod-identity-webhook/monitoring');
export const alertsFile = path.join(monitoringFolder, 'alerts.yaml');

import path from 'node:path';

const monitoringFolder = path.resolve(import.meta.dirname, '../../../charts/aad-pod-identity-webhook/monitoring');
export const alertsFile = path.join(monitoringFolder, 'alerts.yaml');

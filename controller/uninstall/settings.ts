import { webhookConfigurationName } from '../../api/names.ts';
import { boolean, number, text } from '../../lib/settings.ts';
import { kubeconfig } from '../../lib/shared-settings.ts';

export const settings = {
  kubeconfig,
  namespace: text({ description: 'release namespace', default: 'default' }),
  webhookConfiguration: text({ description: 'MutatingWebhookConfiguration of the release', default: webhookConfigurationName }),
  detach: boolean({ description: 'detach identities and delete federated credentials that the controller made', default: true }),
  timeout: number({ description: 'time in which it ends, whatever is left', unit: 'seconds', default: 240, min: 10 }),
  terminationMessage: text({ description: 'where the report goes besides the log', form: 'a file', default: '/dev/termination-log' }),
} as const;

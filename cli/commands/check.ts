import { parseOptions, SettingsError } from '../../common/options.ts';
import { withAccess } from '../access.ts';
import { checkInstallation } from '../check/installation/sections.ts';
import { readInstallation } from '../cluster/installation.ts';
import { readNodeViews } from '../cluster/node-views.ts';
import { valueOr } from '../cluster/reader.ts';
import { tryAdmission } from '../cluster/trial-admission.ts';
import { checkOptions } from '../command-line.ts';
import type { Command } from './command.ts';
import { report } from './report.ts';

export const check: Command = {
  usage: 'check',
  summary: 'checks the installation, from the API server to the pods',
  rights: [
    'get mutatingwebhookconfigurations, customresourcedefinitions and list validatingadmissionpolicies',
    'get leases and configmaps, list deployments and endpointslices in the release namespace',
    'list pods in all namespaces',
    'create pods in the namespace of the trial, which is a dry run',
  ],
  options: checkOptions,
  async run([unexpected], flags, terminal) {
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted is check, or check pod NAME`);
    const values = parseOptions(checkOptions, flags);
    return withAccess(values, async ({ client, config, reader, namespace, signal }) => {
      const readAll = async () => {
        const installation = await readInstallation(reader, values.releaseNamespace);
        return { installation, nodeViews: await readNodeViews(config, valueOr(installation.injectedPods, [])) };
      };
      const [read, trial] = await Promise.all([readAll(), tryAdmission(client, namespace, signal)]);
      return report(checkInstallation({ ...read, trial, now: new Date() }), values, terminal);
    });
  },
};

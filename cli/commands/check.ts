import { parseOptions, SettingsError } from '../../common/options.ts';
import { withAccess } from '../access.ts';
import { checkInstallation } from '../check/installation/sections.ts';
import { missingRights } from '../check/unreadable.ts';
import { readInstallation } from '../cluster/installation.ts';
import { readNodeViews } from '../cluster/node-views.ts';
import { valueOr } from '../cluster/reader.ts';
import { tryAdmission } from '../cluster/trial-admission.ts';
import { checkOptions } from '../command-line.ts';
import { withProgress } from '../output/progress.ts';
import type { Command } from './command.ts';
import { report } from './report.ts';

export const check: Command = {
  usage: 'check',
  summary: 'checks the installation, from the API server to the pods',
  rights: [
    'get mutatingwebhookconfigurations; list customresourcedefinitions, validatingadmissionpolicies and their bindings',
    'get leases, configmaps and services, list endpointslices in the release namespace',
    'list pods and azureassignedidentities in all namespaces',
    'create pods in the namespace of the trial, which is a dry run',
    'get and create pods/exec where injected pods run, to ask one token proxy on each node',
  ],
  options: checkOptions,
  async run([unexpected], flags, terminal) {
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted is check, or check pod NAME`);
    const values = parseOptions(checkOptions, flags);
    const sections = await withProgress(terminal, ({ waitFor }) =>
      withAccess(values, async ({ client, config, reader, namespace, signal }) => {
        const readAll = async () => {
          const installation = await waitFor('the API server', readInstallation(reader, values.releaseNamespace));
          const injected = valueOr(installation.injectedPods, []);
          return { installation, nodeViews: await waitFor('token proxies on the nodes', readNodeViews(config, injected)) };
        };
        const trying = waitFor('the answer of the webhook to a dry run', tryAdmission(client, namespace, signal));
        const [read, trial] = await Promise.all([readAll(), trying]);
        const found = checkInstallation({ ...read, trial, now: new Date() });
        return [...found, ...missingRights(reader.denied(), found)];
      }),
    );
    return report(sections, values, terminal);
  },
};

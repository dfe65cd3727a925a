import { parseOptions, SettingsError } from '../../common/options.ts';
import { withAccess } from '../access.ts';
import { checkPod } from '../check/pod/chain.ts';
import { tryToken } from '../check/pod/token.ts';
import { missingRights } from '../check/unreadable.ts';
import { readPodFacts } from '../cluster/pod-facts.ts';
import { checkPodOptions } from '../command-line.ts';
import { firstBroken } from '../finding.ts';
import { withProgress } from '../output/progress.ts';
import type { Command } from './command.ts';
import { report } from './report.ts';

export const checkPodCommand: Command = {
  usage: 'check pod NAME',
  summary: 'walks from a pod to its token, and ends at the first broken link',
  rights: [
    'get pods, namespaces and what owns pods; list events in the namespace',
    'list azureidentities, azureidentitybindings and azureassignedidentities in all namespaces, azurepodidentityexceptions in that of the pod',
    'get and create pods/exec in the namespace, to ask the token proxy what it knows',
    'create pods in the namespace, for a pod without a token proxy: a dry run tells whether a new one would get it',
    'list pods in all namespaces, get mutatingwebhookconfigurations',
    'get leases, configmaps and services, list endpointslices in the release namespace',
  ],
  options: checkPodOptions,
  async run([name, unexpected], flags, terminal) {
    if (name === undefined) throw new SettingsError('the name of the pod is missing: accepted is check pod NAME');
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted is one name of a pod`);
    const values = parseOptions(checkPodOptions, flags);
    const sections = await withProgress(terminal, ({ waitFor }) =>
      withAccess(values, async (access) => {
        const reading = readPodFacts({ ...access, name, releaseNamespace: values.releaseNamespace });
        const found = checkPod(await waitFor('the API server, the webhook and the token proxy', reading), new Date());
        if (values.tryToken && firstBroken(found) === undefined)
          found.push(await waitFor('a token', tryToken({ ...access, name, resource: values.resource })));
        return [...found, ...missingRights(access.reader.denied(), found)];
      }),
    );
    return report(sections, values, terminal);
  },
};

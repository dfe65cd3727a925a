import { parseOptions, SettingsError } from '../../common/options.ts';
import { withAccess } from '../access.ts';
import { checkPod } from '../check/pod/chain.ts';
import { tryToken } from '../check/pod/token.ts';
import { readPodFacts } from '../cluster/pod-facts.ts';
import { checkPodOptions } from '../command-line.ts';
import { firstBroken } from '../finding.ts';
import type { Command } from './command.ts';
import { report } from './report.ts';

export const checkPodCommand: Command = {
  usage: 'check pod NAME',
  summary: 'walks from a pod to its token, and ends at the first broken link',
  rights: [
    'get pods, namespaces and list events',
    'list azureidentities, azureidentitybindings, azurepodidentityexceptions and azureassignedidentities',
    'create pods/exec in the namespace, to ask the token proxy what it knows',
    'what check needs, for the parts that it shares',
  ],
  options: checkPodOptions,
  async run([name, unexpected], flags, terminal) {
    if (name === undefined) throw new SettingsError('the name of the pod is missing: accepted is check pod NAME');
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted is one name of a pod`);
    const values = parseOptions(checkPodOptions, flags);
    return withAccess(values, async (access) => {
      const facts = await readPodFacts({ ...access, name, releaseNamespace: values.releaseNamespace });
      const sections = checkPod(facts, new Date());
      const isTried = values.tryToken && firstBroken(sections) === undefined;
      if (isTried) sections.push(await tryToken({ ...access, name, resource: values.resource }));
      return report(sections, values, terminal);
    });
  },
};

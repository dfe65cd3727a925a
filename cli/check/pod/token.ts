// `--try-token`: asks the token proxy as the app of the pod does, and shows the claims. The token itself is never printed.
import type { KubeConfig } from '@kubernetes/client-node';
import { proxyContainerName, sidecarCommand } from '../../../api/names.ts';
import { isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { exec } from '../../cluster/exec.ts';
import type { Section } from '../../finding.ts';
import { broken, passed } from '../../finding.ts';

export interface TryTokenOptions {
  config: KubeConfig;
  namespace: string;
  name: string;
  resource: string;
}

const timeoutMs = 60_000;

export async function tryToken({ config, namespace, name, resource }: TryTokenOptions): Promise<Section> {
  const title = 'Trial';
  const command = [...sidecarCommand, 'try-token', `--resource=${resource}`];
  const result = await exec(config, { namespace, pod: name, container: proxyContainerName, command }, timeoutMs);
  if ('stdout' in result) return { title, findings: [passed(`got a token for ${resource}: ${describe(result.stdout)}`)] };
  return {
    title,
    findings: [
      broken('TokenRefused', {
        title: `token for ${resource}`,
        message: result.failure,
        advice: 'The message is what the app gets.',
        command: `kubectl logs ${name} -n ${namespace} -c ${proxyContainerName} --tail=20`,
      }),
    ],
  };
}

const shown = ['aud', 'appid', 'azp', 'oid', 'tid', 'xms_mirid', 'exp'] as const;

/** The claims that say whose token it is. */
function describe(text: string): string {
  const claims = parseJson(text);
  return shown
    .flatMap((name) => (isRecord(claims) && claims[name] !== undefined ? `${name} ${stringAt(claims, name) ?? String(claims[name])}` : []))
    .join(', ');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

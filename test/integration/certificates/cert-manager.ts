// cert-manager without its programs: the CRDs of its Go module, whose checksum go.sum has, and fakes that sign and inject as it does.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { isRecord } from '../../../common/records.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { at, metadataOf, stringAt, stringMapAt } from '../../../lib/kube/objects.ts';
import type { Resource } from '../../../lib/kube/resources.ts';
import { mutatingWebhookConfigurations, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { decodeSecretData, encodeSecretData } from '../../../lib/kube/secret-data.ts';
import { silentLogger } from '../../../lib/log.ts';
import { generateKey, issueAuthority, issueLeaf } from '../../../lib/tls/issue.ts';
import type { KeyPair } from '../../../lib/tls/key-pair.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { findOnPath, mustRun } from '../../cluster/run.ts';
import { untilEstablished } from '../../harness/wait.ts';

export const missingForCertManager = findOnPath('go') === undefined ? 'the CRDs of cert-manager need Go' : false;

const certificates: Resource = { group: 'cert-manager.io', version: 'v1', plural: 'certificates', kind: 'Certificate' };
const issuers: Resource = { group: 'cert-manager.io', version: 'v1', plural: 'issuers', kind: 'Issuer' };

export async function installCertManagerCrds(plane: ControlPlane): Promise<void> {
  const module = 'github.com/cert-manager/cert-manager';
  const cwd = path.resolve(import.meta.dirname, '../../cluster/go/cert-manager');
  const env = { GOWORK: 'off', GOFLAGS: '-mod=readonly -buildvcs=false' };
  const folder = stringAt(JSON.parse(await mustRun('go', ['mod', 'download', '-json', module], { cwd, env })), 'Dir') ?? '';
  const kubectl = (...args: string[]) => mustRun(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig } });
  const kinds = ['certificates', 'issuers', 'clusterissuers'];
  await kubectl('create', ...kinds.map((kind) => `--filename=${path.join(folder, `deploy/crds/cert-manager.io_${kind}.yaml`)}`));
  await untilEstablished(() => kubectl('wait', '--for=condition=Established', ...kinds.map((kind) => `crd/${kind}.cert-manager.io`)));
}

export interface FakeCertManager {
  /** Issues everything anew, also CAs, as after `cmctl renew` of each. */
  renewAll(): Promise<void>;
  stop(): Promise<void>;
}

const context = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });

/** Signs for the issuers selfSigned and ca. */
export function startFakeCertManager(client: KubeClient, namespace: string): FakeCertManager {
  let working: Promise<void> = Promise.resolve();
  let issued = new Set<string>();
  const informer = startInformer({ client, log: silentLogger, resource: certificates, namespace, project: (raw) => raw });

  async function issue(certificate: unknown): Promise<void> {
    const { name } = metadataOf(certificate);
    const spec = at(certificate, 'spec');
    const issuer = await client.call('GET', resourcePath(issuers, { namespace, name: stringAt(spec, 'issuerRef', 'name') ?? '' }));
    const caSecret = stringAt(issuer, 'spec', 'ca', 'secretName');
    const ca = caSecret === undefined ? undefined : await readPair(client, namespace, caSecret);
    if (caSecret !== undefined && (ca === undefined || !issued.has(caSecret))) return;
    const dnsNames = at(spec, 'dnsNames');
    const pair =
      ca === undefined
        ? issueAuthority(await context())
        : issueLeaf(ca, Array.isArray(dnsNames) ? dnsNames.map(String) : [], await context());
    const secretName = stringAt(spec, 'secretName') ?? '';
    await putSecret(client, namespace, secretName, { ...dataOf(pair), 'ca.crt': (ca ?? pair).certificate }, name);
    issued.add(secretName);
  }
  /** CAs first, then what they sign. */
  async function issueAll(): Promise<void> {
    const all = [...informer.values()].sort((a, b) => Number(at(b, 'spec', 'isCA') === true) - Number(at(a, 'spec', 'isCA') === true));
    for (const certificate of all)
      if (!issued.has(stringAt(certificate, 'spec', 'secretName') ?? ''))
        await issue(certificate).catch((error: unknown) => {
          // Helm may create the issuer after the certificate.
          if (!isNotFound(error)) throw error;
        });
  }
  const work = () => (working = working.then(issueAll));
  informer.onChange(() => void work());
  const issuerInformer = startInformer({ client, log: silentLogger, resource: issuers, namespace, project: (raw) => raw });
  issuerInformer.onChange(() => void work());

  return {
    async renewAll() {
      issued = new Set();
      await work();
    },
    async stop() {
      await Promise.all([informer.stop(), issuerInformer.stop()]);
      await working;
    },
  };
}

export interface FakeCaInjector {
  /** Configurations that it has looked at, and those that it has written. */
  readonly seen: number;
  readonly writes: number;
  stop(): Promise<void>;
}

/** Writes ca.crt of the annotated Certificate to every entry of a configuration that does not have it. */
export function startFakeCaInjector(client: KubeClient): FakeCaInjector {
  let seen = 0;
  let writes = 0;
  const informer = startInformer({ client, log: silentLogger, resource: mutatingWebhookConfigurations, project: (raw) => raw });
  const inject = async (raw: unknown) => {
    const [namespace = '', name = ''] = (stringMapAt(raw, 'metadata', 'annotations')['cert-manager.io/inject-ca-from'] ?? '').split('/');
    if (name === '') return;
    seen += 1;
    const certificate = await client.call('GET', resourcePath(certificates, { namespace, name }));
    const secret = resourcePath(secrets, { namespace, name: stringAt(certificate, 'spec', 'secretName') ?? '' });
    const caBundle = Buffer.from(decodeSecretData(await client.call('GET', secret))['ca.crt'] ?? '').toString('base64');
    const webhooks = at(raw, 'webhooks');
    if (!Array.isArray(webhooks) || webhooks.every((webhook) => stringAt(webhook, 'clientConfig', 'caBundle') === caBundle)) return;
    const body = {
      ...(isRecord(raw) ? raw : {}),
      webhooks: webhooks.filter(isRecord).map((webhook) => ({
        ...webhook,
        clientConfig: { ...(isRecord(webhook.clientConfig) ? webhook.clientConfig : {}), caBundle },
      })),
    };
    await client.call('PUT', resourcePath(mutatingWebhookConfigurations, { name: metadataOf(raw).name ?? '' }), { body });
    writes += 1;
  };
  let working: Promise<unknown> = Promise.resolve();
  informer.onChange(({ after }) => {
    if (after !== undefined) working = working.then(() => inject(after));
  });
  return {
    get seen() {
      return seen;
    },
    get writes() {
      return writes;
    },
    async stop() {
      await informer.stop();
      await working;
    },
  };
}

const dataOf = ({ certificate, key }: KeyPair) => ({ 'tls.crt': certificate, 'tls.key': key });

async function readPair(client: KubeClient, namespace: string, name: string): Promise<KeyPair | undefined> {
  try {
    const data = decodeSecretData(await client.call('GET', resourcePath(secrets, { namespace, name })));
    return { certificate: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Creates or replaces. */
export async function putSecret(
  client: KubeClient,
  namespace: string,
  name: string,
  data: Record<string, string>,
  certificateName?: string,
): Promise<void> {
  const annotations = certificateName === undefined ? {} : { 'cert-manager.io/certificate-name': certificateName };
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, annotations },
    type: 'kubernetes.io/tls',
    data: encodeSecretData(data),
  };
  try {
    await client.call('PUT', resourcePath(secrets, { namespace, name }), { body });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.call('POST', resourcePath(secrets, { namespace }), { body });
  }
}

// The steps of the demo, from `helm install` to a federated identity and a check of it all. Each step prints the command that a user would type and its real output, and
// fails when the output does not show what the step is for.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readJwt } from '../azure/core/jwt.ts';
import { command, note, output, step } from './output.ts';

const root = path.resolve(import.meta.dirname, '../..');
const imds = 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=';
const tokenUrl = `${imds}https://management.azure.com/`;
/** In Azure a change of a scale set takes a minute, and a new credential works after seconds or minutes. */
const timeoutMs = 180_000;
const releaseNamespace = 'aad-pod-identity';

export interface Target {
  /** Runs a program against the cluster; the arguments are those a user would type. */
  kubectl(args: string[], input?: string): Promise<{ stdout: string; stderr: string; code: number }>;
  helm(args: string[], input?: string): Promise<{ stdout: string; stderr: string; code: number }>;
  /** Our plugin of kubectl. */
  plugin(args: string[]): Promise<{ stdout: string; stderr: string; code: number }>;
  /** The chart's values, as the file that `--values` names. */
  values: string;
  identity: { id: string; clientId: string };
  /** For the pod that must not get the first; the controller finds its client id. */
  secondIdentityId: string;
  appImage: string;
  /** Identities on the scale set or VM as Azure reports them; undefined where the demo cannot ask Azure. */
  attached(): Promise<string[] | undefined>;
  /** Private memory of the proxy in that pod, bytes; undefined on another machine. */
  proxyMemory(pod: string): Promise<number | undefined>;
}

/** A step failed. The output of its command is printed already. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}

export async function runWalkthrough(target: Target): Promise<void> {
  await install(target);
  await bind(target);
  await useToken(target);
  await refuseOther(target);
  await skipExcepted(target);
  await detach(target);
  await federate(target);
  await check(target);
  await deletePods(target, 'demo');
}

async function install(target: Target): Promise<void> {
  step('Install the chart');
  const args = ['install', 'webhook', 'charts/aad-pod-identity-webhook', '-n', releaseNamespace, '--create-namespace', '--wait'];
  command(`helm ${args.join(' ')} --values values.yaml`);
  await succeed(target.helm([...args, '--values', '-', '--timeout', '90s'], target.values));
  await show(target, 'get', 'deployments', '-n', releaseNamespace);
  await show(target, 'get', 'mutatingwebhookconfigurations');
}

async function bind(target: Target): Promise<void> {
  step('Bind an Azure identity to a selector, and run a pod with that label');
  await showAzure(target, 'before');
  await show(target, 'get', 'azureassignedidentity');
  await apply(target, 'identity.yaml');
  await apply(target, 'pod.yaml');
  await until('AzureAssignedIdentity is Created', async () => (await statusOf(target, 'demo-default-demo')) !== '');
  await show(target, 'get', 'azureassignedidentity');
  note('The webhook added the sidecar and an init container:');
  await show(
    target,
    'get',
    'pod',
    'demo',
    '-o',
    'custom-columns=INIT CONTAINERS:.spec.initContainers[*].name,CONTAINERS:.spec.containers[*].name',
  );
  const waited = Date.now();
  await until('AzureAssignedIdentity is Assigned', async () => (await statusOf(target, 'demo-default-demo')) === 'Assigned');
  note(`Azure has updated the scale set ${((Date.now() - waited) / 1000).toFixed(1)} s later:`);
  await show(target, 'get', 'azureassignedidentity');
  await showAzure(target, 'now');
}

async function useToken(target: Target): Promise<void> {
  step('Request a token from the metadata service inside the pod');
  await succeed(target.kubectl(['wait', '--for=condition=Ready', 'pod/demo', '--timeout=60s']));
  await curlToken(target, 'demo', tokenUrl);
  note('The same by client id, as most SDKs do:');
  await curlToken(target, 'demo', `${tokenUrl}&client_id=${target.identity.clientId}`);
  const memory = await target.proxyMemory('demo');
  if (memory !== undefined) note(`Private memory of the sidecar after its first tokens: ${(memory / 1024 / 1024).toFixed(1)} MiB`);
}

/** Shows a token of the demo identity and its claims. */
async function curlToken(target: Target, pod: string, url: string): Promise<void> {
  const answer = await execCurl(target, pod, url);
  const { access_token: token, ...rest } = answer;
  if (typeof token !== 'string') throw new DemoError(`no token in the answer: ${JSON.stringify(answer)}`);
  const claims = readJwt(token)?.claims;
  if (claims === undefined) throw new DemoError('the token is not a JWT');
  output(JSON.stringify({ access_token: `${token.slice(0, 20)}...`, ...rest }, undefined, 2));
  note('Its claims:');
  output(JSON.stringify(claims, undefined, 2));
  const { clientId } = target.identity;
  if (claims.appid !== clientId) throw new DemoError(`the token is for ${String(claims.appid)} and not for ${clientId}`);
}

async function refuseOther(target: Target): Promise<void> {
  step('A pod with another selector is refused that identity, with the reason');
  await apply(target, 'other.yaml');
  await succeed(target.kubectl(['wait', '--for=condition=Ready', 'pod/other', '--timeout=60s']));
  note('The binding of a new pod may not have arrived yet, so the sidecar waits 5 s before it refuses:');
  const answer = await execCurl(target, 'other', `${tokenUrl}&client_id=${target.identity.clientId}`);
  output(JSON.stringify(answer, undefined, 2));
  if (!String(answer.error_description).startsWith('Identity not found')) throw new DemoError('the answer is not "Identity not found"');
}

async function skipExcepted(target: Target): Promise<void> {
  step('A pod that an AzurePodIdentityException matches is not injected');
  await apply(target, 'excepted.yaml');
  const containers = await show(
    target,
    'get',
    'pod',
    'excepted',
    '-o',
    'jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}',
  );
  if (containers.trim() !== 'app') throw new DemoError('the excepted pod was injected');
}

async function detach(target: Target): Promise<void> {
  step('Delete a pod: its identity is detached');
  await until('the second AzureAssignedIdentity is Assigned', async () => (await statusOf(target, 'other-default-second')) === 'Assigned');
  await showAzure(target, 'now');
  await deletePods(target, 'other', 'excepted');
  await until('AzureAssignedIdentity is gone', async () => (await statusOf(target, 'other-default-second')) === '');
  await show(target, 'get', 'azureassignedidentity');
  await untilDetached(target, target.secondIdentityId);
  await showAzure(target, 'after');
}

async function federate(target: Target): Promise<void> {
  step('Federate the identity: it is on no node, and the same pod keeps its tokens');
  const byClientId = `${tokenUrl}&client_id=${target.identity.clientId}`;
  note('While it is attached, whatever reaches IMDS on that node can have it, such as a pod without the label:');
  await apply(target, 'plain.yaml');
  await succeed(target.kubectl(['wait', '--for=condition=Ready', 'pod/plain', '--timeout=60s']));
  await curlToken(target, 'plain', byClientId);
  await show(target, 'annotate', 'azureidentity', 'demo', 'aadpodidentity.k8s.io/assignment=federate');
  await untilFederated(target);
  await untilDetached(target, target.identity.id);
  await showAzure(target, 'federated');
  note('The controller has made a credential on the identity, which trusts the service account of the broker:');
  await show(
    target,
    'get',
    'configmaps',
    '-n',
    releaseNamespace,
    '-l',
    'app.kubernetes.io/component=federation-record',
    '-o',
    'custom-columns=CLIENT ID:.data.clientId,SUBJECT:.data.subject,PROVEN AT:.data.provenAt',
  );
  await show(target, 'get', 'azureassignedidentity');
  note('The next token of the running pod is of the same identity, without the scale set in its claims:');
  await curlToken(target, 'demo', `${imds}https://vault.azure.net`);
  note('The pod without the label gets nothing, once IMDS has heard of the change:');
  await until(
    'IMDS of the node does not know the identity',
    async () => (await curl(target, 'plain', byClientId)).access_token === undefined,
  );
  output(JSON.stringify(await execCurl(target, 'plain', byClientId), undefined, 2));
  await deletePods(target, 'plain');
}

async function check(target: Target): Promise<void> {
  step('Look for a fault: in the installation, and between the pod and its token');
  await showCheck(target, 'check');
  await showCheck(target, 'check', 'pod', 'demo');
}

async function showCheck(target: Target, ...args: string[]): Promise<void> {
  command(`kubectl aad-pod-identity ${args.join(' ')}`);
  const began = Date.now();
  const text = await succeed(target.plugin(args));
  output(text);
  note(`It took ${((Date.now() - began) / 1000).toFixed(1)} s`);
  if (!/^Nothing is wrong\.$/m.test(text)) throw new DemoError('the plugin finds a fault in a healthy cluster');
}

async function untilFederated(target: Target): Promise<void> {
  const scope = ['-o', "jsonpath={.metadata.annotations['aadpodidentity\\.k8s\\.io/scope']}"];
  await until('the pod has the identity from the broker', async () => {
    const { stdout } = await target.kubectl(['get', 'azureassignedidentity', 'demo-default-demo', ...scope]);
    return stdout.toLowerCase() === target.identity.id.toLowerCase();
  });
}

async function deletePods(target: Target, ...pods: string[]): Promise<void> {
  command(`kubectl delete pod ${pods.join(' ')}`);
  output(await succeed(target.kubectl(['delete', 'pod', ...pods])));
}

/** Returns at once where the demo cannot ask Azure. */
async function untilDetached(target: Target, identity: string): Promise<void> {
  const isDetached = async () => !(await target.attached())?.some((id) => id.toLowerCase() === identity.toLowerCase());
  await until('the identity is detached', isDetached);
}

async function showAzure(target: Target, when: string): Promise<void> {
  const attached = await target.attached();
  if (attached === undefined) return;
  note(`Identities on the scale set, as Azure reports them ${when}:`);
  output(attached.length === 0 ? '(none)' : attached.join('\n'));
}

/** Shows the command as a shell wants it, runs it and shows what it says. */
async function show(target: Target, ...args: string[]): Promise<string> {
  command(['kubectl', ...args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`))].join(' '));
  const { stdout, stderr } = await expectSuccess(target.kubectl(args));
  output(stdout || stderr);
  return stdout;
}

async function apply(target: Target, file: string): Promise<void> {
  command(`kubectl apply -f ${file}`);
  const values: Record<string, string> = {
    IDENTITY_ID: target.identity.id,
    CLIENT_ID: target.identity.clientId,
    SECOND_IDENTITY_ID: target.secondIdentityId,
    APP_IMAGE: target.appImage,
  };
  const manifest = readFileSync(path.join(root, 'test/demo/manifests', file), 'utf8').replace(
    /\$\{(\w+)\}/g,
    (_, name: string) => values[name] ?? '',
  );
  output(manifest);
  const { stdout, stderr } = await expectSuccess(target.kubectl(['apply', '-f', '-'], manifest));
  output(`${stderr}${stdout}`);
}

async function execCurl(target: Target, pod: string, url: string): Promise<Record<string, unknown>> {
  command(`kubectl exec ${pod} -c app -- curl -s -H Metadata:true '${url}'`);
  return curl(target, pod, url);
}

async function curl(target: Target, pod: string, url: string): Promise<Record<string, unknown>> {
  const stdout = await succeed(target.kubectl(['exec', pod, '-c', 'app', '--', 'curl', '-s', '-H', 'Metadata:true', url]));
  const answer: unknown = JSON.parse(stdout);
  if (typeof answer !== 'object' || answer === null) throw new DemoError(`the answer is not a JSON object: ${stdout}`);
  return { ...answer };
}

/** Status of an AzureAssignedIdentity; empty where there is none. */
async function statusOf(target: Target, name: string): Promise<string> {
  const { stdout } = await target.kubectl(['get', 'azureassignedidentity', name, '--ignore-not-found', '-o', 'jsonpath={.status.status}']);
  return stdout.trim();
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new DemoError(`not after ${timeoutMs / 1000} s: ${what}`);
    await delay(200);
  }
}

async function expectSuccess(
  running: Promise<{ stdout: string; stderr: string; code: number }>,
): Promise<{ stdout: string; stderr: string }> {
  const result = await running;
  if (result.code === 0) return result;
  output(result.stdout + result.stderr);
  throw new DemoError('the command failed');
}

const succeed = async (running: Promise<{ stdout: string; stderr: string; code: number }>): Promise<string> =>
  (await expectSuccess(running)).stdout;

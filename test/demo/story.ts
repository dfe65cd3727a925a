// The main job from a user's first `helm install` to the detached identity: each step is announced, shows the command that a user would type and
// its true output, and fails where the output is not what the step is about.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { claimsOf } from './claims.ts';
import { command, output, say, step } from './tell.ts';

const root = path.resolve(import.meta.dirname, '../..');
const tokenUrl = 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/';
const timeoutMs = 60_000;

export interface Stage {
  /** Runs a program against the cluster; the arguments are those a user would type. */
  kubectl(args: string[], input?: string): Promise<{ stdout: string; stderr: string; code: number }>;
  helm(args: string[], input?: string): Promise<{ stdout: string; stderr: string; code: number }>;
  /** The chart's values, as the file that `--values` names. */
  values: string;
  identity: { id: string; clientId: string };
  /** Of the pod that must not get the first; its client id is left for the controller to find. */
  secondIdentityId: string;
  appImage: string;
  /** What Azure itself says is attached to the scale set or VM; undefined where nobody here can ask it. */
  attached(): Promise<string[] | undefined>;
  /** Private memory of the proxy in that pod, bytes; undefined where the node is out of reach. */
  proxyMemory(pod: string): Promise<number | undefined>;
}

/** What went wrong is already on the screen as the output of a command. */
export class StoryError extends Error {
  override readonly name = 'StoryError';
}

export async function tell(stage: Stage): Promise<void> {
  await install(stage);
  await bind(stage);
  await useToken(stage);
  await refuseStranger(stage);
  await skipExcepted(stage);
  await remove(stage);
}

async function install(stage: Stage): Promise<void> {
  step('Install the chart');
  command('helm install webhook charts/aad-pod-identity-webhook --values values.yaml --wait');
  await succeed(
    stage.helm(['install', 'webhook', 'charts/aad-pod-identity-webhook', '--values', '-', '--wait', '--timeout', '90s'], stage.values),
  );
  await show(stage, 'get', 'deployments,mutatingwebhookconfigurations');
}

async function bind(stage: Stage): Promise<void> {
  step('Say which Azure identity exists and which pods may use it, and run a pod with the label');
  await showAzure(stage, 'before');
  await show(stage, 'get', 'azureassignedidentity');
  await apply(stage, 'identity.yaml');
  await apply(stage, 'pod.yaml');
  await until('AzureAssignedIdentity is Created', async () => (await statusOf(stage)) !== '');
  await show(stage, 'get', 'azureassignedidentity');
  say('The sidecar and an init container were added by the webhook:');
  await show(
    stage,
    'get',
    'pod',
    'demo',
    '-o',
    'custom-columns=INIT CONTAINERS:.spec.initContainers[*].name,CONTAINERS:.spec.containers[*].name',
  );
  const waited = Date.now();
  await until('AzureAssignedIdentity is Assigned', async () => (await statusOf(stage)) === 'Assigned');
  say(`Azure took its time for the scale set; ${((Date.now() - waited) / 1000).toFixed(1)} s later:`);
  await show(stage, 'get', 'azureassignedidentity');
  await showAzure(stage, 'now');
}

async function useToken(stage: Stage): Promise<void> {
  step('Ask the metadata service for a token, inside the pod');
  await succeed(stage.kubectl(['wait', '--for=condition=Ready', 'pod/demo', '--timeout=60s']));
  await curlToken(stage, tokenUrl, stage.identity.clientId);
  say('The same by client id, as most SDKs ask:');
  await curlToken(stage, `${tokenUrl}&client_id=${stage.identity.clientId}`, stage.identity.clientId);
  const memory = await stage.proxyMemory('demo');
  if (memory !== undefined) say(`The sidecar's private memory after its first tokens: ${(memory / 1024 / 1024).toFixed(1)} MiB`);
}

async function curlToken(stage: Stage, url: string, clientId: string): Promise<void> {
  const answer = await execCurl(stage, 'demo', url);
  const { access_token: token, ...rest } = answer;
  if (typeof token !== 'string') throw new StoryError(`no token came: ${JSON.stringify(answer)}`);
  const claims = claimsOf(token);
  output(JSON.stringify({ access_token: `${token.slice(0, 20)}...`, ...rest }, undefined, 2));
  say('and the claims in it:');
  output(JSON.stringify(claims, undefined, 2));
  if (claims.appid !== clientId) throw new StoryError(`the token is for ${String(claims.appid)} and not for ${clientId}`);
}

async function refuseStranger(stage: Stage): Promise<void> {
  step('A pod of another selector does not get the identity of the first, and is told why');
  await apply(stage, 'stranger.yaml');
  await succeed(stage.kubectl(['wait', '--for=condition=Ready', 'pod/stranger', '--timeout=60s']));
  say('The binding of a young pod may still be on its way, so the sidecar waits 5 s before it says no:');
  const answer = await execCurl(stage, 'stranger', `${tokenUrl}&client_id=${stage.identity.clientId}`);
  output(JSON.stringify(answer, undefined, 2));
  if (!String(answer.error_description).startsWith('Identity not found')) throw new StoryError('the answer is not "Identity not found"');
}

async function skipExcepted(stage: Stage): Promise<void> {
  step('A pod that an AzurePodIdentityException names is left alone');
  await apply(stage, 'excepted.yaml');
  const containers = await show(
    stage,
    'get',
    'pod',
    'excepted',
    '-o',
    'jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}',
  );
  if (containers.trim() !== 'app') throw new StoryError('the excepted pod was injected');
}

async function remove(stage: Stage): Promise<void> {
  step('Delete the pods: the identity is detached again');
  command('kubectl delete pod demo excepted stranger');
  output(await succeed(stage.kubectl(['delete', 'pod', 'demo', 'excepted', 'stranger'])));
  await until('AzureAssignedIdentity is gone', async () => (await statusOf(stage)) === '');
  await show(stage, 'get', 'azureassignedidentity');
  const isDetached = async () => !(await stage.attached())?.some((id) => id.toLowerCase() === stage.identity.id.toLowerCase());
  await until('the identity is detached', isDetached);
  await showAzure(stage, 'after');
}

async function showAzure(stage: Stage, when: string): Promise<void> {
  const attached = await stage.attached();
  if (attached === undefined) return;
  say(`Identities on the scale set, as Azure sees them ${when}:`);
  output(attached.length === 0 ? '(none)' : attached.join('\n'));
}

/** Shows the command as a shell wants it, runs it and shows what it says. */
async function show(stage: Stage, ...args: string[]): Promise<string> {
  command(['kubectl', ...args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`))].join(' '));
  const { stdout, stderr } = await expectSuccess(stage.kubectl(args));
  output(stdout || stderr);
  return stdout;
}

async function apply(stage: Stage, file: string): Promise<void> {
  command(`kubectl apply -f ${file}`);
  const values: Record<string, string> = {
    IDENTITY_ID: stage.identity.id,
    CLIENT_ID: stage.identity.clientId,
    SECOND_IDENTITY_ID: stage.secondIdentityId,
    APP_IMAGE: stage.appImage,
  };
  const manifest = readFileSync(path.join(root, 'test/demo/manifests', file), 'utf8').replace(
    /\$\{(\w+)\}/g,
    (_, name: string) => values[name] ?? '',
  );
  output(manifest);
  const { stdout, stderr } = await expectSuccess(stage.kubectl(['apply', '-f', '-'], manifest));
  output(`${stderr}${stdout}`);
}

async function execCurl(stage: Stage, pod: string, url: string): Promise<Record<string, unknown>> {
  command(`kubectl exec ${pod} -c app -- curl -s -H Metadata:true '${url}'`);
  const stdout = await succeed(stage.kubectl(['exec', pod, '-c', 'app', '--', 'curl', '-s', '-H', 'Metadata:true', url]));
  const answer: unknown = JSON.parse(stdout);
  if (typeof answer !== 'object' || answer === null) throw new StoryError(`the answer is not a JSON object: ${stdout}`);
  return { ...answer };
}

/** Status of the demo pod's assignment; empty where there is none. */
async function statusOf(stage: Stage): Promise<string> {
  const { stdout } = await stage.kubectl([
    'get',
    'azureassignedidentity',
    'demo-default-demo',
    '--ignore-not-found',
    '-o',
    'jsonpath={.status.status}',
  ]);
  return stdout.trim();
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new StoryError(`not after ${timeoutMs / 1000} s: ${what}`);
    await delay(200);
  }
}

async function expectSuccess(
  running: Promise<{ stdout: string; stderr: string; code: number }>,
): Promise<{ stdout: string; stderr: string }> {
  const result = await running;
  if (result.code === 0) return result;
  output(result.stdout + result.stderr);
  throw new StoryError('the command failed');
}

const succeed = async (running: Promise<{ stdout: string; stderr: string; code: number }>): Promise<string> =>
  (await expectSuccess(running)).stdout;

// `controller test-token`: runs in the labelled pod of `helm test` (docs/upgrade.md#test-a-release). It asks for a token as an app does.
import { setTimeout } from 'node:timers/promises';
import { sidecarStatusPath } from '../../api/sidecar-status.ts';
import type { Values } from '../../lib/settings.ts';
import { helpOf, parseSettings, SettingsError, text } from '../../lib/settings.ts';
import type { Outcome, TokenAnswer } from './outcome.ts';
import { outcomeOf, silence, statusOutcomeOf } from './outcome.ts';

const settings = {
  endpoint: text({ description: 'where an app finds IMDS', form: 'http URL', default: 'http://169.254.169.254' }),
  resource: text({ description: 'resource of the token', default: 'https://management.azure.com/' }),
  selector: text({ description: 'of the bindings for this pod; empty where there are none', default: '' }),
} as const;

/** The token proxy answers within 45 s. */
const timeoutMs = 60_000;
/** The token proxy calls the broker again and again, every few seconds. */
const statusTries = 60;

/** Sets the exit code: 1 for a test that failed, 2 for settings that cannot be used. Never rejects. */
export async function runTokenTest(argv: readonly string[]): Promise<void> {
  try {
    if (argv.includes('--help')) {
      process.stdout.write(helpOf('test-token', 'asks for a token as an app does', settings));
      return;
    }
    const { passed, text: line } = await testToken(parseSettings(settings, argv, process.env));
    process.stdout.write(`${line}\n`);
    process.exitCode = passed ? 0 : 1;
  } catch (error) {
    process.stderr.write(`test-token: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof SettingsError ? 2 : 1;
  }
}

async function testToken({ endpoint, resource, selector }: Values<typeof settings>): Promise<Outcome> {
  try {
    if (selector === '') return await testChain(endpoint);
    const url = new URL('/metadata/identity/oauth2/token?api-version=2018-02-01', endpoint);
    url.searchParams.set('resource', resource);
    return outcomeOf(await ask(url), selector);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return silence(cause instanceof Error ? cause.message : String(cause));
  }
}

/** A token without an identity would be awaited for the 45 s in which one may come. The status of the proxy comes by the same way at once. */
async function testChain(endpoint: string): Promise<Outcome> {
  const url = new URL(sidecarStatusPath, endpoint);
  for (let left = statusTries; ; left -= 1) {
    const outcome = statusOutcomeOf(await ask(url), left === 1);
    if (outcome !== undefined) return outcome;
    await setTimeout(1_000);
  }
}

async function ask(url: URL): Promise<TokenAnswer> {
  const response = await fetch(url, { headers: { metadata: 'true' }, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
  const answer = await response.text();
  return { status: response.status, server: response.headers.get('server') ?? '', body: parsed(answer) };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body.slice(0, 200);
  }
}

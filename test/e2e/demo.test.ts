// `npm run demo` as a user runs it, in the real cluster: to its end, and after kills in the middle.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { running } from '../cluster/cluster.ts';

const main = path.resolve(import.meta.dirname, '../demo/main.ts');
const name = 'e2e-demo';

/** Starts the demo. Its output is collected, and a test can wait for a line of it. */
function startDemo() {
  const child = spawn(process.execPath, [main, '--name', name], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const waits: { pattern: RegExp; resolve(): void }[] = [];
  const take = (chunk: string) => {
    text += chunk;
    for (const wait of waits) if (wait.pattern.test(text)) wait.resolve();
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return {
    child,
    ended,
    text: () => text,
    prints: (pattern: RegExp) =>
      new Promise<void>((resolve, reject) => {
        waits.push({ pattern, resolve });
        if (pattern.test(text)) resolve();
        void ended.then(() => reject(new Error(`the demo ended before it printed ${pattern}:\n${text}`)));
      }),
  };
}

const cgroupOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
};

/** The cluster ends a moment after its owner. */
async function untilNothingIsLeft(): Promise<void> {
  const left = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && cgroupOf(pid).includes(`aad-cluster-${name}`));
  for (const deadline = Date.now() + 30_000; left().length > 0; await delay(100)) {
    if (Date.now() > deadline) assert.fail(`processes of the cluster are left: ${left().join(', ')}`);
  }
  assert.equal(running(name), undefined);
}

describe('the demo', () => {
  it('runs to its end after two killed runs, and leaves nothing behind', async () => {
    for (const step of [/starting cluster/, /^2\. Install/m]) {
      const killed = startDemo();
      await killed.prints(step);
      killed.child.kill('SIGKILL');
      await killed.ended;
    }

    const demo = startDemo();
    const code = await demo.ended;
    const printed = demo.text();
    assert.equal(code, 0, printed);
    for (const part of [
      /^ +demo-default-demo +demo +default +demo +\S+ +Created/m,
      /^ +demo-default-demo +demo +default +demo +\S+ +Assigned/m,
      /aad-pod-identity-init,aad-pod-identity-proxy +app/,
      /"appid": "aaaaaaaa-0000-4000-8000-000000000001"/,
      /"xms_mirid": ".*userAssignedIdentities\/demo"/,
      /"error_description": "Identity not found: .*Bound to it: default\/second/,
      /excepted from injection/,
    ])
      assert.match(printed, part);
    const [before, bound, both, detached, federated] = [...printed.matchAll(/as Azure reports them \w+:\n((?: {5}\/.*\n)+)/g)].map(
      (match) => match[1],
    );
    assert.match(before ?? '', /userAssignedIdentities\/kubelet/);
    assert.match(bound ?? '', /userassignedidentities\/demo/i);
    assert.match(both ?? '', /userassignedidentities\/second/i);
    assert.equal(detached, bound, 'the second identity is still attached');
    assert.equal(federated, before, 'the scale set is not as it was');
    const afterSwitch = printed.slice(printed.indexOf('Federate the identity'));
    assert.match(afterSwitch, /aad-pod-identity:aad-pod-identity-broker/);
    assert.match(afterSwitch, /"aud": "https:\/\/vault.azure.net"/);
    assert.match(
      afterSwitch,
      /The pod without the label gets nothing, once IMDS has heard of the change:\n.*\n +\{\n +"error": "invalid_request"/,
    );
    const check = printed.slice(printed.indexOf('Look for a fault'));
    assert.equal(check.match(/^ +Nothing is wrong\.$/gm)?.length, 2);
    assert.doesNotMatch(check, /\[(?:broken|warning|unknown)\]/);
    assert.match(check, /\[ok\] +reached from one node, as one token proxy on each says/);
    assert.match(check, /\[ok\] +the broker lists default\/demo as assigned/);
    const memory = Number(/Private memory of the sidecar after its first tokens: ([\d.]+) MiB/.exec(printed)?.[1]);
    assert.ok(memory < 7, `${memory} MiB`);
    await untilNothingIsLeft();
  });

  it('ends at Ctrl-C and stops the cluster', async () => {
    const demo = startDemo();
    await demo.prints(/control plane answers/);
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended, 130);
    await untilNothingIsLeft();
  });

  for (const [args, message] of [
    [['--kep'], /Unknown option '--kep'/],
    [['--context', 'x'], /--context needs --values, --identity/],
  ] as [string[], RegExp][]) {
    it(`refuses ${args.join(' ')} with one line`, async () => {
      const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        stderr += chunk;
      });
      assert.equal(await new Promise((resolve) => child.on('close', resolve)), 1);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1);
    });
  }
});

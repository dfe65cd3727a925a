// docs/migration.md and `kubectl aad-pod-identity migrate` say the same: codes, steps and commands.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { migrationCodes } from '../cli/codes.ts';
import { inputOf } from '../cli/migrate/input.ts';
import { nmiFlags } from '../cli/migrate/nmi-flags.ts';
import { addonStepTitles, stepsFor, stepTitles } from '../cli/migrate/steps.ts';
import { healthy, identity, ofRelease } from '../cli/migrate/testing/fixtures.ts';
import { anchorsOf } from './references.ts';

const read = (file: string) => readFileSync(path.resolve(import.meta.dirname, '..', file), 'utf8');
const page = read('docs/migration.md');

/** Every command below a heading, also of blocks that no test runs. */
function commandsBelow(heading: string): string[] {
  const section = page.split(/^(?=#+ )/m).find((part) => part.startsWith(`### ${heading}\n`)) ?? '';
  return [...section.matchAll(/^```(?:sh)?\n(.*?)^```$/gms)].flatMap(([, block = '']) => block.trim().split('\n'));
}

describe('docs/migration.md', () => {
  it('explains each code of migrate, and none that is gone', () => {
    const codes = [...page.matchAll(/^\| `([A-Z]\w+)` \|(?: \w+)? \| /gm)].map(([, code]) => code);
    assert.deepEqual(codes.toSorted(), migrationCodes.toSorted());
  });

  it('has the steps of migrate as headings, in their order', () => {
    const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, heading = '']) => heading);
    const titles: string[] = Object.values(stepTitles);
    assert.deepEqual(
      headings.filter((heading) => titles.includes(heading)),
      titles,
    );
  });

  it('has a sister with the steps from the add-on of AKS', () => {
    const headings = [...read('docs/aks-add-on.md').matchAll(/^### (.*)$/gm)].map(([, heading]) => heading);
    assert.deepEqual(headings, Object.values(addonStepTitles));
  });

  it('has the commands of migrate', () => {
    const objects = [...healthy(), identity('default/made', {}, ofRelease)];
    const steps = stepsFor(inputOf(objects, 'default'), { releaseNamespace: 'aad-pod-identity', federate: undefined });
    for (const { title, commands } of steps) {
      const documented = commandsBelow(title);
      // The page restarts what is in a namespace; migrate names the workloads.
      if (title !== stepTitles.restart) for (const command of commands) assert.ok(documented.includes(command), `${title}: ${command}`);
    }
    assert.equal(steps.length, Object.keys(stepTitles).length - 1);
  });
});

describe('what migrate prints', () => {
  it('leads to pages and headings that are there', () => {
    const folder = path.resolve(import.meta.dirname, '../cli/migrate');
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const references = sources.flatMap((file) => [
      ...readFileSync(path.join(folder, file), 'utf8').matchAll(/docs\/[\w/-]+\.md(?:#[\w-]+)?/g),
    ]);
    assert.ok(references.length > 5);
    for (const [reference] of references) {
      const [file = '', anchor] = reference.split('#');
      const anchors = anchorsOf(read(file));
      assert.ok(anchor === undefined || anchors.has(anchor), reference);
    }
  });
});

describe('the flags of NMI', () => {
  /** The value of aad-pod-identity's chart that sets a flag. */
  const chartValues: Readonly<Record<string, string>> = {
    'ipt-update-interval-sec': 'ipTableUpdateTimeIntervalInSeconds',
    MICNamespace: 'micNamespace',
    'http-probe-port': 'probePort',
    'prometheus-port': 'prometheusPort',
    'retry-attempts-for-created': 'retryAttemptsForCreated',
    'retry-attempts-for-assigned': 'retryAttemptsForAssigned',
    enableScaleFeatures: 'enableScaleFeatures',
    'metadata-header-required': 'metadataHeaderRequired',
    'allow-network-plugin-kubenet': 'allowNetworkPluginKubenet',
    'kubelet-config': 'kubeletConfig',
    'set-retry-after-header': 'setRetryAfterHeader',
    'enable-conntrack-deletion': 'enableConntrackDeletion',
  };

  it('have no effect for the reason that the chart gives for their values', () => {
    const template = read('charts/aad-pod-identity-webhook/templates/_upstream.tpl');
    const reasons = new Map([...template.matchAll(/^nmi\.(\w+): (.*)$/gm)].map(([, value = '', why = '']) => [value, why]));
    for (const [flag, value] of Object.entries(chartValues)) assert.equal(nmiFlags[flag]?.why, reasons.get(value), flag);
  });
});

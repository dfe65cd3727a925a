// docs/sizing.md has the amounts of the chart and the limits of the code. UPDATE_GOLDENS=1 writes them anew.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { connectionLimits } from '../broker/limits.ts';
import { at } from '../common/records.ts';
import { maxForeignAssignments } from '../controller/assignments/pod-state.ts';
import { maxEntries } from '../controller/azure/arm/identity-map.ts';
import { azureLimits } from '../controller/scopes/pace.ts';
import { maxForeignMatches } from '../lib/identities/match.ts';
import { settings as webhookSettings } from '../webhook/settings.ts';
import { assertInline, assertSection, tableBody } from './generated-section.ts';

const mebibyte = 1024 * 1024;
const numbers = new Intl.NumberFormat('en-US');
const shown = (value: number): string => numbers.format(value);

describe('docs/sizing.md', () => {
  it('has the replicas, requests and limits of the chart', () => {
    const values: unknown = parse(
      readFileSync(path.resolve(import.meta.dirname, '../charts/aad-pod-identity-webhook/values.yaml'), 'utf8'),
    );
    const amount = (program: string, ...keys: string[]) => String(at(values, program, 'resources', ...keys) ?? 'none');
    const rows = ['controller', 'broker', 'webhook', 'nodeEndpoint'].map((program) => [
      program,
      program === 'nodeEndpoint' ? 'one for each node' : String(at(values, program, 'replicas')),
      amount(program, 'requests', 'cpu'),
      amount(program, 'requests', 'memory'),
      amount(program, 'limits', 'memory'),
    ]);
    const { proxyCpuRequest, proxyMemoryRequest, proxyMemoryLimit } = webhookSettings;
    const proxy = [proxyCpuRequest, proxyMemoryRequest, proxyMemoryLimit].map(({ fallback }) => fallback ?? '');
    rows.push(['token proxy', 'one in each labelled pod', ...proxy]);
    const header = ['program', 'replicas', 'CPU request', 'memory request', 'memory limit'];
    assertSection('sizing.md', 'resources', `\n${tableBody(header, rows)}\n`);
  });

  it('says how many connections a broker replica holds', () => {
    const rows = [256, 512, 1024, 2048, 3072, 4096].map((mib) => [
      mib < 1024 ? `${mib}Mi` : `${mib / 1024}Gi`,
      shown(connectionLimits(mib * mebibyte).maxConnections),
    ]);
    assertSection('sizing.md', 'broker', `\n${tableBody(['memory limit', 'connections'], rows)}\n`);
  });

  it('has the limits of the code', () => {
    assertInline('sizing.md', 'pace', `${azureLimits.burst} at once, then ${azureLimits.perMinute} a minute`);
    assertInline('sizing.md', 'entries', shown(maxEntries));
    assertInline('sizing.md', 'matches', shown(maxForeignMatches));
    assertInline('sizing.md', 'assignments', shown(maxForeignAssignments));
  });
});

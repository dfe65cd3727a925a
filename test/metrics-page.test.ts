// docs/monitoring.md lists every metric of every program. UPDATE_GOLDENS=1 writes the list anew.
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { ports } from '../api/names.ts';
import { createMetrics as createBrokerMetrics } from '../broker/metrics.ts';
import { registerGauges } from '../controller/metrics/gauges.ts';
import { createInstruments } from '../controller/metrics/instruments.ts';
import { fakeInformers } from '../lib/identities/testing/informers.ts';
import { at } from '../lib/kube/objects.ts';
import { createMetrics as createSidecarMetrics } from '../sidecar/proxy/metrics.ts';
import { createMetrics as createWebhookMetrics } from '../webhook/metrics.ts';
import { assertSection, code, tableSection } from './generated-section.ts';

interface Family {
  name: string;
  type: string;
  labels: string[];
  help: string;
}

const familiesOf = (registry: Registry): Family[] =>
  registry.getMetricsAsArray().map((metric) => {
    const labels = at(metric, 'labelNames');
    return { name: metric.name, type: String(metric.type), help: metric.help, labels: Array.isArray(labels) ? labels.map(String) : [] };
  });

function controllerFamilies(): Family[] {
  const registry = new Registry();
  createInstruments(registry);
  registerGauges(registry, {
    informers: fakeInformers(),
    leadership: { leading: true, known: true, remainingMs: () => 1, stop: async () => undefined },
    waiting: { oldest: () => new Map() },
    throttledUntil: () => new Map(),
    settingsHash: '',
  });
  return familiesOf(registry);
}

function webhookFamilies(): Family[] {
  const registry = new Registry();
  createWebhookMetrics(registry, { notAfter: () => undefined, ready: () => true });
  return familiesOf(registry);
}

function brokerFamilies(): Family[] {
  const registry = new Registry();
  createBrokerMetrics(registry, { heldPolls: () => 0, connectedSidecars: () => 0, certificateExpiry: () => undefined });
  return familiesOf(registry);
}

/** The sidecar writes its text itself. Labels stand at samples only. */
function sidecarFamilies(): Family[] {
  const metrics = createSidecarMetrics({ cachedTokens: () => 0, brokerContactAgeMs: () => 0 });
  metrics.countResponse('token', 200);
  metrics.countFetch({ error: { code: 'network', message: '' } });
  const text = metrics.text();
  return [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)\n(?:\S+?\{(.*?)\} )?/gm)].map(
    ([, name = '', help = '', type = '', labels = '']) => ({
      name,
      type,
      help,
      labels: [...labels.matchAll(/(\w+)=/g)].map(([, label = '']) => label),
    }),
  );
}

function section(title: string, families: Family[]): string {
  const rows = families
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map(({ name, type, labels, help }) => [code(name), type, labels.map(code).join(', '), help]);
  return tableSection(`### ${title}`, ['metric', 'type', 'labels', 'meaning'], rows);
}

test('docs/monitoring.md lists every metric of every program', () => {
  const expected = [
    section(`Controller, port ${ports.controller.metrics}`, controllerFamilies()),
    section(`Webhook, port ${ports.webhook.metrics}`, webhookFamilies()),
    section(`Broker, port ${ports.broker.metrics}`, brokerFamilies()),
    section('Token proxy', sidecarFamilies()),
    '\n',
  ].join('');
  assertSection('monitoring.md', 'metrics', expected);
});

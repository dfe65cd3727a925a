// The cluster of the bench: identities with bindings, controller and broker as programs, and what Azure was asked.
import { ask } from '../../cluster/ready.ts';
import { serveBroker } from '../../integration/controller/broker-service.ts';
import { federationFlags } from '../../integration/controller/federation.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { startHarness } from '../../integration/controller/harness/harness.ts';
import { names } from '../controller/cluster.ts';
import type { Sidecars } from './sidecars.ts';
import { startSidecars } from './sidecars.ts';

export const identityName = (index: number) => `identity-${index}`;

export interface Federation {
  harness: Harness;
  sidecars: Sidecars;
  /** Their process ids. */
  programs: { controller: number; broker: number; bench: number };
  /** How often the controller began to lead. */
  terms(): number;
  /** Processor time of the API server so far. */
  apiServerSeconds(): Promise<number>;
  /** Creates a pod that runs, and starts its sidecar. Resolves with the milliseconds from its creation until its first token. */
  firstTokenOf(pod: string, identity: string): Promise<number>;
  /** What Azure was asked since then. */
  azureCalls(since: number): AzureCalls;
  stop(): Promise<void>;
}

export interface AzureCalls {
  arm: number;
  /** Writes of credentials, by identity. */
  writes: Map<string, number>;
  /** Wall time of the last of them. */
  lastWriteAt: number;
  /** Token requests, by client and scope. */
  exchanges: Map<string, number>;
}

/** `identity-0` ..., each bound to the selector of its own name. */
export async function startFederation(options: { identities: number; credentialWriteMs: number }): Promise<Federation> {
  const { identities, credentialWriteMs } = options;
  const all = names(identities, 'identity');
  const settings = { limits: { imds: false, arm: true }, arm: { credentialWriteMs } };
  const machines = { scaleSets: [], virtualMachines: [], imds: { vm: null } };
  const harness = await startHarness({ azure: { ...machines, identities: all.map((name) => ({ name })), settings } });
  const broker = await serveBroker(harness);
  const flags = await federationFlags(harness, broker);
  await harness.createNode('node-0', '');
  for (const name of all) {
    await harness.createIdentity(name);
    await harness.createBinding(name, name, name);
  }
  // The harness gives a Lease of seconds, which a busy leader loses.
  const defaults = ['--client-qps=250', '--lease-duration=10', '--lease-renew=7', '--lease-retry=2'];
  const controller = await harness.startController([...flags.controller, '--assignment=federate', ...defaults]);
  const replica = await broker.startReplica({ flags: [...flags.broker, '--assignment=federate'] });
  // Past the Service of the harness, whose address would be that of all pods: the broker limits the connections of one.
  const { broker: port } = await replica.logged(({ msg }) => msg === 'started');
  const sidecars = await startSidecars(harness, Number(port));
  return {
    harness,
    sidecars,
    programs: { controller: controller.process.pid ?? 0, broker: replica.process.pid ?? 0, bench: process.pid },
    terms: () => controller.log.filter(({ msg }) => msg === 'leading').length,
    async apiServerSeconds() {
      const { body } = await ask(`${harness.plane.url}/metrics`, harness.plane);
      return Number(/^process_cpu_seconds_total (\S+)/m.exec(body)?.[1]);
    },
    async firstTokenOf(pod, identity) {
      const created = Date.now();
      await harness.createPod(pod, identity);
      const { firstToken } = await sidecars.start(pod);
      return (await firstToken) - created;
    },
    azureCalls: (since) => callsIn(harness, since),
    async stop() {
      await sidecars.stop();
      await broker.stop();
      await harness.stop();
    },
  };
}

function callsIn({ emulator }: Harness, since: number): AzureCalls {
  const calls: AzureCalls = { arm: 0, writes: new Map(), lastWriteAt: Number.NaN, exchanges: new Map() };
  const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const entry of emulator.log.list(since)) {
    if (entry.kind !== 'request') continue;
    if (entry.service === 'arm') calls.arm += 1;
    if (entry.service === 'arm' && entry.method === 'PUT') {
      count(calls.writes, entry.path.split('/').at(-3) ?? '');
      calls.lastWriteAt = entry.answeredAt ?? entry.at;
    }
    if (entry.service === 'entra' && entry.method === 'POST') {
      const { client_id: client, scope } = entry.body as { client_id?: string; scope?: string };
      count(calls.exchanges, `${client} ${scope}`);
    }
  }
  return calls;
}

// /metadata/instance: what a machine can read about itself. All primitives are strings, missing ones empty.
import type { Context } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { isRecord, json, text } from '../core/messages.ts';
import { guidOf } from '../core/random.ts';
import { lastSegment, vmId } from '../state/names.ts';
import { problem } from './errors.ts';

function instanceDocument(context: Context): Record<string, unknown> | null {
  const { state, vm } = context;
  const resource = vm === null ? undefined : state.resources.get(vm.resource);
  if (vm === null || resource === undefined) return null;
  const set =
    resource.scaleSet === null
      ? resource.kind === 'scaleSet'
        ? resource.name
        : ''
      : lastSegment(state.resources.get(resource.scaleSet)?.id ?? '');
  const name = vm.instance === null ? resource.name : `${resource.name}_${vm.instance}`;
  const id = vmId(resource, vm);
  const address = { privateIpAddress: '10.0.0.4', publicIpAddress: '' };
  return {
    compute: {
      azEnvironment: 'AzurePublicCloud',
      location: resource.location,
      name,
      osType: 'Linux',
      provider: 'Microsoft.Compute',
      resourceGroupName: resource.resourceGroup,
      resourceId: id,
      sku: '',
      subscriptionId: resource.subscription,
      tags: Object.entries(resource.tags)
        .map(([key, value]) => `${key}:${value}`)
        .join(';'),
      tagsList: Object.entries(resource.tags).map(([key, value]) => ({ name: key, value })),
      vmId: guidOf(id.toLowerCase()),
      vmScaleSetName: set,
      vmSize: 'Standard_D2s_v5',
      zone: '',
    },
    network: {
      interface: [
        {
          ipv4: { ipAddress: [address], subnet: [{ address: '10.0.0.0', prefix: '16' }] },
          ipv6: { ipAddress: [] },
          macAddress: '000D3A000001',
        },
      ],
    },
  };
}

/** Answers `/metadata/instance` and everything below it; `segments` come after `instance`. */
export function answerInstance(request: Incoming, context: Context, segments: readonly string[]): Answer {
  const document = instanceDocument(context);
  if (document === null) return problem(404, 'not_found', 'This IMDS stands for no machine');
  let found: unknown = document;
  for (const segment of segments) {
    if (Array.isArray(found)) found = found[Number(segment)];
    else if (isRecord(found)) found = Object.entries(found).find(([name]) => name.toLowerCase() === segment.toLowerCase())?.[1];
    else found = undefined;
    if (found === undefined) return json(404, { error: 'Not found' });
  }
  const asText = request.query.get('format')?.toLowerCase() === 'text';
  if (typeof found === 'string') {
    return asText ? text(200, found) : json(400, { error: 'Bad request. Leaf nodes are available as text only: add format=text' });
  }
  if (!asText) return json(200, found);
  const names = Array.isArray(found)
    ? found.map((_, index) => `${index}/`)
    : Object.entries(isRecord(found) ? found : {}).map(([name, value]) => (typeof value === 'string' ? name : `${name}/`));
  return text(200, names.join('\n'));
}

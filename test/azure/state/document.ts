// The state as a person writes it (a JSON document) and as the emulator holds it (tables).

import type { KeyObject } from 'node:crypto';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { roleNames } from '../arm/roles.ts';
import { keyOfJwk } from '../core/keys.ts';
import { isRecord } from '../core/messages.ts';
import { guidOf } from '../core/random.ts';
import type { Read } from './fields.ts';
import { count, DocumentError, fields, flag, guid, listOf, moment, oneOf, orNull, segment, text, textMap } from './fields.ts';
import type { App, AttachedIdentities, ComputeResource, Config, State, UserAssignedIdentity } from './model.ts';
import { findVm, identityId, identityIdPattern, keyOf, lastSegment, scaleSetId, virtualMachineId } from './names.ts';
import { settings } from './settings.ts';

const identityType = oneOf('None', 'SystemAssigned', 'UserAssigned', 'SystemAssigned, UserAssigned');

const attached: Read<{ id: string; principalId: string | null }> = (value, path) =>
  typeof value === 'string' ? { id: value, principalId: null } : fields(value, path, { id: [text], principalId: [guid, null] });

const identity = (value: unknown, path: string) => fields(value, path, { type: [identityType], ids: [listOf(attached), []] });

/** Either how many instances, numbered from 0, or their numbers. */
const instances: Read<string[]> = (value, path) =>
  typeof value === 'number' ? Array.from({ length: count(value, path) }, (_, index) => String(index)) : listOf(segment)(value, path);

const compute = {
  subscription: [segment, null],
  resourceGroup: [segment, null],
  name: [segment],
  location: [text, null],
  tags: [textMap, {}],
  identity: [identity, { type: 'None', ids: [] }],
  etag: [count, 1],
  provisioningState: [text, 'Succeeded'],
} as const;

const signIn = { disabled: [flag, false], blocked: [flag, false] } as const;

const scaleSet = (value: unknown, path: string) =>
  fields(value, path, { ...compute, orchestration: [oneOf('Uniform', 'Flexible'), 'Uniform'], instances: [instances, []] });
const virtualMachine = (value: unknown, path: string) => fields(value, path, { ...compute, scaleSet: [orNull(text), null] });
const userAssigned = (value: unknown, path: string) =>
  fields(value, path, {
    id: [text, null],
    subscription: [segment, null],
    resourceGroup: [segment, null],
    name: [segment, null],
    clientId: [guid, null],
    principalId: [guid, null],
    tenantId: [guid, null],
    location: [text, null],
    federated: [
      listOf((item, at) =>
        fields(item, at, { name: [text], issuer: [text], subject: [text], audiences: [listOf(text), ['api://AzureADTokenExchange']] }),
      ),
      [],
    ],
    ...signIn,
  });

const certificate: Read<string> = (value, path) => {
  const pem = text(value, path);
  try {
    return new X509Certificate(pem).toString();
  } catch {
    throw new DocumentError(path, 'must be a PEM certificate');
  }
};
const secret: Read<App['secrets'][number]> = (value, path) =>
  typeof value === 'string'
    ? { value: text(value, path), expires: null }
    : fields(value, path, { value: [text], expires: [orNull(moment), null] });
const app = (value: unknown, path: string) =>
  fields(value, path, {
    clientId: [guid],
    objectId: [guid, null],
    tenantId: [guid, null],
    secrets: [listOf(secret), []],
    certificates: [listOf(certificate), []],
    federated: [
      listOf((item, at) => fields(item, at, { issuer: [text], subject: [text], audience: [text, 'api://AzureADTokenExchange'] })),
      [],
    ],
    ...signIn,
  });

const role = (value: unknown, path: string) =>
  fields(value, path, { principal: [text], scope: [text, '/'], actions: [listOf(text), []], role: [orNull(oneOf(...roleNames)), null] });
const deny = (value: unknown, path: string) =>
  fields(value, path, { name: [text, 'deny'], scope: [text], actions: [listOf(text), ['*']], except: [listOf(text), []] });

const publicKey: Read<KeyObject> = (value, path) => {
  if (isRecord(value)) {
    const key = keyOfJwk(value);
    if (key !== null) return key;
    throw new DocumentError(path, 'must be a public JWK');
  }
  try {
    return createPublicKey(text(value, path));
  } catch {
    throw new DocumentError(path, 'must be a PEM public key or a JWK');
  }
};
const issuer = (value: unknown, path: string) => ({
  ...fields(value, path, { issuer: [text], keys: [orNull(listOf(publicKey)), null], url: [orNull(text), null] }),
  document: value,
});

const document = (value: unknown) =>
  fields(value, '', {
    tenant: [guid],
    subscription: [segment],
    resourceGroup: [segment],
    location: [text, 'westeurope'],
    tenants: [listOf((item, at) => fields(item, at, { id: [guid], domains: [listOf(text), []] })), []],
    imds: [(item, at) => fields(item, at, { vm: [orNull(text), null] }), { vm: null }],
    scaleSets: [listOf(scaleSet), []],
    virtualMachines: [listOf(virtualMachine), []],
    identities: [listOf(userAssigned), []],
    apps: [listOf(app), []],
    roles: [orNull(listOf(role)), null],
    denyAssignments: [listOf(deny), []],
    audiences: [orNull(listOf(text)), null],
    issuers: [listOf(issuer), []],
    settings: [settings, settings({}, '')],
  });

type Document = ReturnType<typeof document>;
type Table<T> = Map<string, T>;

function readIdentities(doc: Document): Table<UserAssignedIdentity> {
  const table: Table<UserAssignedIdentity> = new Map();
  for (const [index, item] of doc.identities.entries()) {
    const path = `identities[${index}]`;
    if ((item.id === null) === (item.name === null)) throw new DocumentError(path, 'needs either "id" (a full resource id) or "name"');
    const id = item.id ?? identityId(item.subscription ?? doc.subscription, item.resourceGroup ?? doc.resourceGroup, item.name ?? '');
    if (!identityIdPattern.test(id))
      throw new DocumentError(`${path}.id`, `must be the resource id of a user-assigned identity, not "${id}"`);
    if (table.has(keyOf(id))) throw new DocumentError(path, `names "${id}" a second time`);
    table.set(keyOf(id), {
      id,
      clientId: item.clientId ?? guidOf(`client ${keyOf(id)}`),
      principalId: item.principalId ?? guidOf(`principal ${keyOf(id)}`),
      tenantId: item.tenantId ?? doc.tenant,
      location: item.location ?? doc.location,
      federated: item.federated,
      trusts: item.federated.map(({ issuer, subject, audiences }) => ({ issuer, subject, audiences, from: [0], until: null })),
      writingUntil: 0,
      disabled: item.disabled,
      blocked: item.blocked,
    });
  }
  return table;
}

/** The system-assigned identity a resource has; the same one whenever it is switched on, as long as the resource lives. */
export function systemIdentity(id: string, tenantId: string): { principalId: string; clientId: string; tenantId: string } {
  return { principalId: guidOf(`system principal ${keyOf(id)}`), clientId: guidOf(`system client ${keyOf(id)}`), tenantId };
}

type DocumentCompute = Document['scaleSets'][number] | Document['virtualMachines'][number];

function readAttached(
  doc: Document,
  item: DocumentCompute,
  id: string,
  path: string,
  known: Table<UserAssignedIdentity>,
): AttachedIdentities {
  const { type, ids } = item.identity;
  const wantsIds = type.includes('UserAssigned');
  if (wantsIds !== ids.length > 0)
    throw new DocumentError(`${path}.identity.ids`, `must be ${wantsIds ? 'a non-empty list' : 'left out'} with type "${type}"`);
  const user: Record<string, { id: string; principalId: string }> = {};
  for (const [index, wanted] of ids.entries()) {
    const at = `${path}.identity.ids[${index}]`;
    const named = [...known.values()].filter((one) => keyOf(one.id) === keyOf(wanted.id) || lastSegment(one.id) === wanted.id);
    // With a principal id it may be one that no longer exists, or an earlier incarnation.
    const found = named[0] ?? (wanted.principalId === null ? undefined : { id: wanted.id, principalId: wanted.principalId });
    if (found === undefined || named.length > 1)
      throw new DocumentError(at, `"${wanted.id}" is not the id or the unique name of one of "identities"`);
    if (Object.hasOwn(user, keyOf(found.id))) throw new DocumentError(at, `names "${wanted.id}" a second time`);
    user[keyOf(found.id)] = { id: found.id, principalId: wanted.principalId ?? found.principalId };
  }
  return { system: type.includes('SystemAssigned') ? systemIdentity(id, doc.tenant) : null, user };
}

function readResources(doc: Document, known: Table<UserAssignedIdentity>, now: number): Table<ComputeResource> {
  const table: Table<ComputeResource> = new Map();
  const add = (
    kind: ComputeResource['kind'],
    item: DocumentCompute,
    path: string,
    rest: Pick<ComputeResource, 'orchestration' | 'instances' | 'scaleSet'>,
  ) => {
    const subscription = item.subscription ?? doc.subscription;
    const resourceGroup = item.resourceGroup ?? doc.resourceGroup;
    const id = (kind === 'scaleSet' ? scaleSetId : virtualMachineId)(subscription, resourceGroup, item.name);
    if (table.has(keyOf(id))) throw new DocumentError(path, `names "${id}" a second time`);
    const own = readAttached(doc, item, id, path, known);
    const { name, tags, etag, provisioningState } = item;
    const location = item.location ?? doc.location;
    const visible = [{ from: now, identity: own }];
    table.set(keyOf(id), {
      kind,
      id,
      subscription,
      resourceGroup,
      name,
      location,
      tags,
      etag,
      provisioningState,
      identity: own,
      visible,
      ...rest,
    });
  };
  for (const [index, item] of doc.scaleSets.entries()) {
    if (item.orchestration === 'Flexible' && item.instances.length > 0) {
      throw new DocumentError(`scaleSets[${index}].instances`, 'are virtualMachines with "scaleSet" in a Flexible set');
    }
    add('scaleSet', item, `scaleSets[${index}]`, { orchestration: item.orchestration, instances: item.instances, scaleSet: null });
  }
  for (const [index, item] of doc.virtualMachines.entries()) {
    const path = `virtualMachines[${index}]`;
    const group = item.resourceGroup ?? doc.resourceGroup;
    const set =
      item.scaleSet === null
        ? null
        : keyOf(item.scaleSet.includes('/') ? item.scaleSet : scaleSetId(item.subscription ?? doc.subscription, group, item.scaleSet));
    if (set !== null && table.get(set)?.orchestration !== 'Flexible')
      throw new DocumentError(`${path}.scaleSet`, 'must name one of "scaleSets" that is Flexible');
    add('virtualMachine', item, path, { orchestration: null, instances: [], scaleSet: set });
  }
  return table;
}

function readApps(doc: Document): Table<App> {
  const table: Table<App> = new Map();
  for (const [index, item] of doc.apps.entries()) {
    if (table.has(keyOf(item.clientId))) throw new DocumentError(`apps[${index}].clientId`, 'is used a second time');
    table.set(keyOf(item.clientId), {
      ...item,
      objectId: item.objectId ?? guidOf(`app ${keyOf(item.clientId)}`),
      tenantId: item.tenantId ?? doc.tenant,
    });
  }
  return table;
}

/** Reads a state document; throws a DocumentError that names the field. */
export function readState(value: unknown, now: number): State {
  const doc = document(value);
  const identities = readIdentities(doc);
  const resources = readResources(doc, identities, now);
  const vm = doc.imds.vm === null ? null : findVm(resources, doc.imds.vm);
  if (doc.imds.vm !== null && vm === null)
    throw new DocumentError('imds.vm', `"${doc.imds.vm}" is not "set/instance", the name of a virtual machine, or an id of one`);
  const tenants = doc.tenants.some((tenant) => keyOf(tenant.id) === keyOf(doc.tenant))
    ? doc.tenants
    : [{ id: doc.tenant, domains: [] }, ...doc.tenants];
  const { roles, denyAssignments, audiences, issuers } = doc;
  const config: Config = {
    tenants,
    roles,
    denyAssignments,
    audiences,
    issuers,
    vm,
    settings: doc.settings,
    defaults: { tenant: doc.tenant, subscription: doc.subscription, resourceGroup: doc.resourceGroup, location: doc.location },
  };
  return {
    config,
    identities,
    resources,
    apps: readApps(doc),
    operations: new Map(),
    tokens: new Map(),
    buckets: new Map(),
    assertions: new Map(),
  };
}

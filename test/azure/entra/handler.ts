// Entra ID: discovery, keys and the token endpoints. The tenant stands in the path, by its id or one of its domains.
import type { Context, Handler, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { json, pathSegments } from '../core/messages.ts';
import { issuerOf } from '../core/tokens.ts';
import { effectOf } from '../faults/effects.ts';
import type { State } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import { aadsts } from './errors.ts';
import { answerToken } from './token.ts';

/** Names that stand for any tenant; tokens are never issued for them, documents are. */
const anyTenant = ['common', 'organizations', 'consumers'];

function tenantId(state: State, name: string): string | null {
  const wanted = keyOf(name);
  return (
    state.config.tenants.find((tenant) => keyOf(tenant.id) === wanted || tenant.domains.some((domain) => keyOf(domain) === wanted))?.id ??
    null
  );
}

function discovery(origin: string, tenant: string, version: 1 | 2): Answer {
  const base = `${origin}/${tenant}`;
  const oauth2 = version === 2 ? `${base}/oauth2/v2.0` : `${base}/oauth2`;
  return json(200, {
    token_endpoint: `${oauth2}/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt'],
    jwks_uri: version === 2 ? `${base}/discovery/v2.0/keys` : `${base}/discovery/keys`,
    response_modes_supported: ['query', 'fragment', 'form_post'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    response_types_supported: ['code'],
    issuer: version === 2 ? `${base}/v2.0` : issuerOf(tenant),
    authorization_endpoint: `${oauth2}/authorize`,
    tenant_region_scope: 'EU',
    cloud_instance_name: 'microsoftonline.com',
  });
}

function instanceDiscovery(request: Incoming): Answer {
  const host = new URL(request.origin).host;
  return json(200, {
    tenant_discovery_endpoint: `${request.origin}/common/v2.0/.well-known/openid-configuration`,
    'api-version': '1.1',
    metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
  });
}

function answerDocument(request: Incoming, context: Context, tenant: string, rest: string): Outcome {
  switch (rest) {
    case 'discovery/v2.0/keys':
    case 'discovery/keys':
      return only(json(200, context.keys.jwks()));
    case 'v2.0/.well-known/openid-configuration':
      return only(discovery(request.origin, tenant, 2));
    case '.well-known/openid-configuration':
      return only(discovery(request.origin, tenant, 1));
    case 'discovery/instance':
      return only(instanceDiscovery(request));
    default:
      return only(json(404, { error: 'not_found', error_description: `Nothing is served at ${request.path}.` }));
  }
}

export const entraHandler: Handler = (request, context) => {
  const [name = '', ...rest] = pathSegments(request.path) ?? [];
  const below = rest.join('/').toLowerCase();
  const forced = effectOf(context.effects, 'entra-error');
  if (forced !== null) return only(aadsts(forced.aadsts, request, context, undefined, forced.retryAfter));
  const id = tenantId(context.state, name);
  const version = below === 'oauth2/v2.0/token' ? 2 : below === 'oauth2/token' ? 1 : null;
  if (id === null && (version !== null || !anyTenant.includes(name.toLowerCase()))) {
    return name === '' ? answerDocument(request, context, '', '') : only(aadsts(90002, request, context, `Tenant '${name}' not found.`));
  }
  const verb = version === null ? 'GET' : 'POST';
  if (request.method !== verb)
    return only(json(405, { error: 'method_not_allowed', error_description: `Only ${verb} is allowed here.` }, { allow: verb }));
  if (id !== null && version !== null) return answerToken(request, context, id, version);
  return answerDocument(request, context, id ?? '{tenantid}', below);
};

// GET /metadata/identity/oauth2/token: docs/reference/imds.md#token-answer.
import type { Context, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Incoming } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import type { TokenSubject } from '../core/tokens.ts';
import { accessClaims } from '../core/tokens.ts';
import { effectOf } from '../faults/effects.ts';
import type { CachedToken, Change } from '../state/model.ts';
import { invalid, unknownResource } from './errors.ts';
import type { Selector } from './select.ts';
import { readSelector, selectIdentity } from './select.ts';

function mint(context: Context, subject: TokenSubject, resource: string): CachedToken {
  const { now, keys, random, effects } = context;
  const bad = effectOf(effects, 'bad-token');
  const life = context.state.config.settings.imds.tokenSeconds;
  const issued = Math.floor(now / 1000) - (bad?.expired === true ? life + 3600 : 0);
  const claims = accessClaims(subject, bad?.audience ?? resource, { issued, expires: issued + life }, random());
  return { token: keys.sign(claims), issuedAt: now, notBefore: issued * 1000, expiresAt: (issued + life) * 1000 };
}

function body(
  context: Context,
  subject: TokenSubject,
  selector: Selector | null,
  resource: string,
  cached: CachedToken,
): Record<string, string> {
  const present = context.state.config.settings.imds.fields;
  const left = String(Math.max(0, Math.floor(cached.expiresAt / 1000) - Math.floor(context.now / 1000)));
  const asked =
    selector === null || selector.name === 'client_id'
      ? {}
      : { [selector.name === 'mi_res_id' ? 'msi_res_id' : selector.name]: selector.value };
  return {
    access_token: cached.token,
    ...(present.includes('client_id') || selector?.name === 'client_id' ? { client_id: subject.appId } : {}),
    ...asked,
    expires_in: left,
    expires_on: String(Math.floor(cached.expiresAt / 1000)),
    ...(present.includes('ext_expires_in') ? { ext_expires_in: left } : {}),
    not_before: String(Math.floor(cached.notBefore / 1000)),
    ...(present.includes('refresh_in') ? { refresh_in: String(Math.floor(Number(left) / 2)) } : {}),
    ...(present.includes('refresh_token') ? { refresh_token: '' } : {}),
    resource,
    token_type: 'Bearer',
  };
}

export function answerToken(request: Incoming, context: Context): Outcome {
  const { state, now, vm, effects } = context;
  const resource = request.query.get('resource');
  if (resource === null || resource.trim() === '') return only(invalid('Required audience parameter not specified'));
  const selector = readSelector(request.query);
  if (selector !== null && 'refused' in selector) return only(selector.refused);
  const subject = selectIdentity(state, vm, now, selector);
  if ('refused' in subject) return only(subject.refused);
  const { audiences, settings } = state.config;
  if (audiences !== null && !audiences.includes(resource)) return only(unknownResource(resource, subject.tenantId));

  const key = `${subject.objectId} ${subject.machineId} ${resource} ${request.query.get('xms_cc') ?? ''}`.trim();
  const known = state.tokens.get(key);
  const fresh =
    known !== undefined &&
    now < known.issuedAt + settings.imds.refreshAfterSeconds * 1000 &&
    now < known.expiresAt &&
    now >= known.notBefore - 1000;
  if (fresh && request.query.get('bypass_cache') !== 'true' && effectOf(effects, 'bad-token') === null) {
    return only(json(200, body(context, subject, selector, resource, known)));
  }
  const made = mint(context, subject, resource);
  const answer = json(200, body(context, subject, selector, resource, made));
  return { answer, changes: effectOf(effects, 'bad-token') === null ? [...forgotten(context), { table: 'tokens', key, value: made }] : [] };
}

/** Bounds the number of kept tokens: drops the oldest. */
function forgotten(context: Context): Change[] {
  const { tokens } = context.state;
  const [oldest] = tokens.size < 5000 ? [] : tokens.keys();
  return oldest === undefined ? [] : [{ table: 'tokens', key: oldest, value: null }];
}

// Collateral of the processor: docs/reference/imds.md#collateral. The certificates are texts without meaning.
import type { Answer, Incoming } from '../core/messages.ts';
import { isRecord, json, parseJson, text } from '../core/messages.ts';
import { invalid, problem } from './errors.ts';

const pem = (name: string) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(name).toString('base64')}\n-----END CERTIFICATE-----\n`;
const platformParameters = ['qeid', 'encrypted_ppid', 'cpusvn', 'pcesvn', 'pceid', 'api-version'];

/** Answers `/metadata/THIM` and everything below it; `segments` come after `THIM`. */
export function answerCollateral({ query }: Incoming, segments: readonly string[]): Answer {
  const path = segments.join('/');
  if (path === 'amd/certification') {
    const tcbm = query.get('tcbVersion') ?? 'DB18000000000004';
    return json(200, { vcekCert: pem('VCEK'), tcbm, certificateChain: pem('ASK') + pem('ARK'), cacheControl: '86400' });
  }
  if (!/^sgx\/certification\/v\d\/pckcert$/.test(path)) return problem(404, 'not_found', 'Not found');
  const missing = platformParameters.filter((name) => (query.get(name) ?? '') === '');
  if (missing.length > 0) return invalid(`The query parameter ${missing.join(', ')} is missing`);
  return text(200, pem(`PCK of ${query.get('qeid')}`), {
    'content-type': 'application/x-pem-file',
    'sgx-pck-certificate-issuer-chain': encodeURIComponent(pem('PCK CA') + pem('root')),
    'sgx-tcbm': `${query.get('cpusvn')}${query.get('pcesvn')}`,
  });
}

export function answerQuote({ body }: Incoming): Answer {
  const sent = parseJson(body);
  if (!isRecord(sent) || typeof sent.report !== 'string') return invalid('The report is missing');
  return json(200, { quote: Buffer.from(`quote of ${sent.report}`).toString('base64url') });
}

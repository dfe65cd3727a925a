// What the API server and the token proxies trust. The certificates that webhook and broker serve with are in Secrets, which nobody needs a right to
// read for this: the trial and the token proxies show whether these are valid.
import type { X509Certificate } from 'node:crypto';
import { stringAt } from '../../../lib/kube/objects.ts';
import { parseCertificates } from '../../../lib/tls/key-pair.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import { entriesOf } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

/** A CA that is renewed in time is replaced long before. */
const soonMs = 7 * 86_400_000;

export function checkCertificates({ webhookConfiguration }: Installation, { namespace, caBundle }: Release, now: Date): Finding[] {
  const entries = 'value' in webhookConfiguration ? entriesOf(webhookConfiguration.value) : [];
  const bundles = entries.map((entry) => Buffer.from(stringAt(entry, 'clientConfig', 'caBundle') ?? '', 'base64').toString());
  const own = 'value' in caBundle ? parseCertificates(caBundle.value) : undefined;
  const isWrong = checkTrust(bundles, own);
  const findings =
    isWrong === undefined ? bundles.slice(0, 1).map((bundle) => checkLife('caBundle of the webhook', bundle, now)) : [isWrong];
  if ('value' in caBundle) return [...findings, checkLife('CA bundle of the broker', caBundle.value, now)];
  if (caBundle.why === 'absent')
    return [
      ...findings,
      broken('CaBundleMissing', {
        title: 'CA bundle of the broker',
        message: 'there is none, so no token proxy trusts the broker',
        advice: 'The controller makes it. See why it does not.',
        command: `kubectl logs -n ${namespace} -l app.kubernetes.io/component=controller --tail=50`,
      }),
    ];
  return [...findings, unreadable('CA bundle of the broker', caBundle)];
}

/** Undefined where the API server trusts the CA of this release. `own`: undefined where it cannot be read. */
function checkTrust(bundles: readonly string[], own: readonly X509Certificate[] | undefined): Finding | undefined {
  const wrong = (message: string) =>
    broken('CaBundleWrong', {
      title: 'caBundle',
      message: `${message}, so the API server does not trust the webhook`,
      advice: 'The controller writes it again within a minute. If it stays, something else writes it: see who.',
      command: 'kubectl get mutatingwebhookconfiguration zz-aad-pod-identity-webhook -o yaml --show-managed-fields',
    });
  const prints = bundles.map((bundle) => parseCertificates(bundle).map(({ fingerprint256 }) => fingerprint256));
  if (prints.some((roots) => roots.length === 0)) return wrong('an entry has no certificate in its caBundle');
  if (own === undefined) return undefined;
  const ours = new Set(own.map(({ fingerprint256 }) => fingerprint256));
  return prints.every((roots) => roots.some((root) => ours.has(root))) ? undefined : wrong('the caBundle has no CA of this release');
}

function checkLife(title: string, pem: string, now: Date): Finding {
  const command = 'kubectl get lease aad-pod-identity-controller -A';
  const roots = parseCertificates(pem);
  const begun = roots.filter(({ validFromDate }) => validFromDate <= now);
  const last = Math.max(...begun.map(({ validToDate }) => validToDate.getTime()));
  if (begun.length === 0)
    return broken('CertificateNotYetValid', {
      title,
      message: roots.length === 0 ? 'it holds no certificate' : `its CA is not valid before ${dateOf(roots[0]?.validFromDate)}`,
      advice: 'Compare the clocks of this machine and of the nodes.',
      command,
    });
  if (last < now.getTime())
    return broken('CertificateExpired', {
      title,
      message: `every CA in it has ended, the last one on ${dateOf(new Date(last))}`,
      advice: 'The controller renews certificates. See why it does not.',
      command,
    });
  if (last < now.getTime() + soonMs)
    return warning('CertificateEnds', {
      title,
      message: `its last CA ends on ${dateOf(new Date(last))}`,
      advice: 'The controller renews certificates long before. See why it does not.',
      command,
    });
  return passed(`${title} is valid until ${dateOf(new Date(last))}`);
}

const dateOf = (date: Date | undefined): string => date?.toISOString().slice(0, 10) ?? '?';

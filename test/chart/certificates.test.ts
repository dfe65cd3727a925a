// certificates.mode: what each mode renders, which rights go with it, and which values are refused.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { settings as brokerSettings } from '../../broker/settings.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { at } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import type { KubeObject } from './render.ts';
import { environmentOf, find, podOf, render, template } from './render.ts';

const controller = 'aad-pod-identity-controller';
const certManager = ['--set', 'certificates.mode=cert-manager'];
const provided = [
  '--set',
  'certificates.mode=provided,certificates.provided.webhookSecret=hook-tls,certificates.provided.brokerSecret=broker-tls',
];
const pem = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';

/** Names of Secrets that a program may reach with its rights of the release namespace, with `*` for all. */
const secretsOf = (objects: readonly KubeObject[], name: string): string[] => {
  const rules = find(objects, 'Role', name).rules as { resources: string[]; resourceNames?: string[] }[];
  return rules.filter(({ resources }) => resources.includes('secrets')).flatMap(({ resourceNames }) => resourceNames ?? ['*']);
};
const ofCertManager = (objects: readonly KubeObject[]) => objects.filter(({ apiVersion }) => apiVersion === 'cert-manager.io/v1');

for (const [mode, flags, secrets] of [
  ['cert-manager', certManager, ['aad-pod-identity-webhook-certificate', 'aad-pod-identity-broker-certificate']],
  ['provided', provided, ['hook-tls', 'broker-tls']],
] as const) {
  describe(`the chart with certificates.mode ${mode}`, () => {
    const [webhookSecret, brokerSecret] = secrets;
    let objects: KubeObject[];
    before(async () => {
      objects = await render(...flags);
    });

    it(`gives each program of mode ${mode} the names of its Secrets`, () => {
      for (const [name, table, secret] of [
        ['aad-pod-identity-webhook', webhookSettings, webhookSecret],
        ['aad-pod-identity-broker', brokerSettings, brokerSecret],
      ] as const) {
        const { certificateMode, certificateSecret } = parseSettings(table, [], environmentOf(objects, name));
        assert.deepEqual([certificateMode, certificateSecret], [mode, secret]);
      }
      const settings = parseSettings(controllerSettings, [], environmentOf(objects, controller));
      assert.deepEqual(
        [settings.certificateMode, settings.webhookCertificateSecret, settings.brokerCertificateSecret, settings.caBundle],
        [mode, webhookSecret, brokerSecret, ''],
      );
    });

    it(`lets each server of mode ${mode} read its own Secret and the controller none`, () => {
      assert.deepEqual(secretsOf(objects, 'aad-pod-identity-webhook'), [webhookSecret]);
      assert.deepEqual(secretsOf(objects, 'aad-pod-identity-broker'), [brokerSecret]);
      assert.deepEqual(secretsOf(objects, controller), []);
      const policy = JSON.stringify(find(objects, 'ValidatingAdmissionPolicy', 'aad-pod-identity-controller-release'));
      assert.match(policy, /'secrets': \[\],/);
    });

    it(`mounts the certificates of mode ${mode} without a key where the controller reads them`, () => {
      const { volumes, containers } = podOf(objects, controller).spec as {
        volumes: { name: string; projected?: { sources: unknown[] } }[];
        containers: { volumeMounts: { name: string; mountPath: string; readOnly: boolean }[] }[];
      };
      const mount = containers[0]?.volumeMounts.find(({ name }) => name === 'certificates');
      assert.deepEqual([mount?.mountPath, mount?.readOnly], [controllerSettings.certificatesDirectory.fallback, true]);
      assert.deepEqual(
        volumes.find(({ name }) => name === 'certificates')?.projected?.sources,
        ['webhook', 'broker'].map((server, index) => ({
          secret: {
            name: secrets[index],
            items: ['tls.crt', 'ca.crt'].map((key) => ({ key, path: `${server}/${key}` })),
            optional: true,
          },
        })),
      );
    });

    it(`annotates nothing for a second writer of caBundle in mode ${mode}`, () => {
      assert.doesNotMatch(JSON.stringify(objects), /cert-manager\.io\/inject/);
    });
  });
}

describe('objects of cert-manager', () => {
  it('are rendered in no other mode', async () => {
    assert.deepEqual(ofCertManager(await render()), []);
    assert.deepEqual(ofCertManager(await render(...provided)), []);
  });

  it('make a CA of the release and a certificate for each Service', async () => {
    const made = ofCertManager(await render(...certManager));
    assert.deepEqual(made.map(({ kind, metadata }) => `${String(kind)} ${String(at(metadata, 'name'))}`).sort(), [
      'Certificate aad-pod-identity-broker',
      'Certificate aad-pod-identity-ca',
      'Certificate aad-pod-identity-webhook',
      'Issuer aad-pod-identity',
      'Issuer aad-pod-identity-self-signed',
    ]);
    for (const server of ['webhook', 'broker']) {
      const { spec } = find(made, 'Certificate', `aad-pod-identity-${server}`);
      assert.deepEqual(at(spec, 'dnsNames'), [`aad-pod-identity-${server}.system.svc`]);
      assert.deepEqual(at(spec, 'issuerRef'), { name: 'aad-pod-identity', kind: 'Issuer', group: 'cert-manager.io' });
    }
    assert.equal(at(find(made, 'Certificate', 'aad-pod-identity-ca').spec, 'privateKey', 'rotationPolicy'), 'Never');
    assert.equal(
      at(find(made, 'Issuer', 'aad-pod-identity').spec, 'ca', 'secretName'),
      at(find(made, 'Certificate', 'aad-pod-identity-ca').spec, 'secretName'),
    );
  });

  it('use an issuer of the values and make none', async () => {
    const issuerRef = { name: 'internal', kind: 'ClusterIssuer', group: 'pca.example.com' };
    const set = Object.entries(issuerRef).map(([key, value]) => `certificates.certManager.issuerRef.${key}=${value}`);
    const made = ofCertManager(await render(...certManager, '--set', set.join(',')));
    assert.deepEqual(
      made.map(({ kind, spec }) => [kind, at(spec, 'issuerRef')]),
      [
        ['Certificate', issuerRef],
        ['Certificate', issuerRef],
      ],
    );
  });
});

describe('values of certificates', () => {
  it('carry the CAs by value to the controller, line breaks included', async () => {
    const objects = await render(...provided, '--set', `certificates.provided.caBundle=${pem}`);
    assert.equal(parseSettings(controllerSettings, [], environmentOf(objects, controller)).caBundle, pem);
  });

  it('of the default mode grant and mount what they did before there were modes', async () => {
    const objects = await render();
    assert.doesNotMatch(JSON.stringify(podOf(objects, controller).spec), /CERTIFICATE|"certificates"/);
    assert.deepEqual(secretsOf(objects, controller), [
      '*',
      'aad-pod-identity-ca',
      'aad-pod-identity-webhook-tls',
      'aad-pod-identity-broker-tls',
    ]);
  });

  for (const [what, flags, message] of [
    ['another mode', 'certificates.mode=acme', /certificates\.mode|\/certificates\/mode/],
    [
      'mode provided without a Secret',
      'certificates.mode=provided,certificates.provided.brokerSecret=b',
      /certificates\.provided\.webhookSecret is required with certificates\.mode provided: name of a Secret in namespace system with tls\.crt, tls\.key and/,
    ],
    [
      'a Secret of the controller as a provided one',
      'certificates.mode=provided,certificates.provided.webhookSecret=w,certificates.provided.brokerSecret=aad-pod-identity-broker-tls',
      /certificates\.provided\.brokerSecret is aad-pod-identity-broker-tls: .*use another name/,
    ],
    [
      'a CA bundle that is no PEM',
      'certificates.mode=provided,certificates.provided.webhookSecret=w,certificates.provided.brokerSecret=b,certificates.provided.caBundle=ca.crt',
      /certificates\.provided\.caBundle holds no certificate: it is PEM text, such as --set-file/,
    ],
    [
      'a provided Secret in another mode',
      'certificates.provided.webhookSecret=w',
      /certificates\.provided\.webhookSecret counts only with certificates\.mode provided, and the mode is self-signed/,
    ],
    [
      'an issuer in another mode',
      'certificates.certManager.issuerRef.name=x',
      /certificates\.certManager\.issuerRef counts only with certificates\.mode cert-manager, and the mode is self-signed/,
    ],
    [
      'an issuer without a name',
      'certificates.mode=cert-manager,certificates.certManager.issuerRef.kind=ClusterIssuer',
      /certificates\.certManager\.issuerRef\.name is required/,
    ],
    ['a name that no Secret has', 'certificates.provided.webhookSecret=No_Secret', /webhookSecret/],
  ] as const)
    it(`refuse ${what}`, async () => {
      const { code, stderr } = await template('--set', flags);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    });
});

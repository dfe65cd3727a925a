import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { silentLogger } from '../../lib/log.ts';
import { createRegistrationReporter, missingRegistration } from './registration.ts';

describe('createRegistrationReporter', () => {
  let recorded: string[];
  let report: ReturnType<typeof createRegistrationReporter>;
  beforeEach(() => {
    recorded = [];
    report = createRegistrationReporter({
      log: silentLogger,
      events: {
        record: ({ kind, namespace, name, uid }, type, reason, message) =>
          recorded.push(`${kind} ${namespace}/${name} ${uid}: ${type} ${reason} ${message}`),
      },
      namespace: 'home',
      webhookService: 'hook',
      webhookConfiguration: 'zz',
    });
  });

  it('records an Event on the Service when the webhook is registered after it was not', () => {
    for (const state of ['waiting', 'registered', 'registered'] as const) report(state, 'u');
    assert.deepEqual(recorded.length, 1);
    assert.match(recorded[0] ?? '', /^Service home\/hook u: Normal WebhookRegistered the API server calls the webhook from now on/);
  });

  it('records nothing for a webhook that is registered when the term begins', () => {
    report('registered', 'u');
    assert.deepEqual(recorded, []);
  });

  it('records with the command for it that the configuration is missing', () => {
    report('absent', undefined);
    assert.match(
      recorded[0] ?? '',
      /Warning WebhookConfigurationMissing .*zz does not exist.* helm upgrade RELEASE CHART -n home --reuse-values$/,
    );
  });
});

describe('missingRegistration', () => {
  it('is undefined when a leader has nothing left to do', () => {
    for (const state of ['registered', 'other-release', 'absent'] as const)
      assert.equal(missingRegistration({ registration: state, problem: undefined }), undefined);
  });
  it('says first what is wrong with the certificates of others', () => {
    assert.equal(missingRegistration({ registration: 'waiting', problem: 'no ca.crt' }), 'no ca.crt');
  });
  it('names what is missing while the webhook is not registered', () => {
    assert.match(missingRegistration(undefined) ?? '', /not compared yet/);
    assert.match(missingRegistration({ registration: 'waiting', problem: undefined }) ?? '', /no ready endpoint/);
  });
});

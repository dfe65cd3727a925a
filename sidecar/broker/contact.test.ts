import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BrokerContact, BrokerUnreachedError, describeBrokerError } from './contact.ts';

const ip = '10.0.0.9:9443';
const name = 'broker.test:9443';
/** As Bun words them (docs/reference/bun.md#fetch). */
const refused = Object.assign(new Error('ECONNREFUSED: Unable to connect. Is the computer able to access the url?'), {
  code: 'ECONNREFUSED',
});
const unresolved = Object.assign(new Error('getaddrinfo EAI_AGAIN broker.test'), { code: 'EAI_AGAIN' });

describe('BrokerContact', () => {
  for (const order of ['address first', 'name first'])
    it(`puts a refused address before a name that does not resolve, ${order}`, () => {
      const contact = new BrokerContact();
      if (order === 'name first') contact.connectionFailed(name, unresolved);
      contact.connectionFailed(ip, refused);
      const told = contact.connectionFailed(name, unresolved);
      assert.match(told, /^10\.0\.0\.9:9443: ECONNREFUSED: .*; broker\.test:9443: getaddrinfo EAI_AGAIN/);
      assert.match(told, /Nothing accepts connections there: is a broker pod ready \(kubectl get endpointslices .*\)\?$/);
      assert.doesNotMatch(told, /network policy/);
    });

  it('keeps what one address answered while the name does not resolve', () => {
    const contact = new BrokerContact();
    contact.requestFailed(ip, 'HTTP 401 unauthenticated: the token is not valid');
    const told = contact.connectionFailed(name, unresolved);
    assert.equal(told, `${ip}: HTTP 401 unauthenticated: the token is not valid; ${name}: getaddrinfo EAI_AGAIN broker.test`);
  });

  it('asks for DNS where nothing but the name was tried', () => {
    assert.match(new BrokerContact().connectionFailed(name, unresolved), /does not resolve in this pod: .* deny it DNS\?$/);
  });

  it('forgets what failed before a success', () => {
    const contact = new BrokerContact();
    contact.connectionFailed(name, unresolved);
    contact.succeeded();
    assert.match(contact.connectionFailed(ip, refused), /^10\.0\.0\.9:9443: [^;]*\. Nothing accepts/);
  });
});

describe('describeBrokerError', () => {
  it('keeps the question at the end of a hint', () => {
    assert.equal(describeBrokerError(new BrokerUnreachedError('a: refused. Why?')), 'a: refused. Why?');
    assert.equal(describeBrokerError(new Error('the token file cannot be read.')), 'the token file cannot be read');
  });
});

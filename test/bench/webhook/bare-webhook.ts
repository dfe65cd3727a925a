// The least that a webhook of this runtime does: an HTTPS server that reads a review and allows it. `bare-webhook.ts PORT CERTS`.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { json } from 'node:stream/consumers';

const [port, certs] = process.argv.slice(2);
const keyPair = { cert: readFileSync(`${certs}/tls.crt`), key: readFileSync(`${certs}/tls.key`) };

createServer({ ...keyPair, keepAliveTimeout: 120_000 }, async (request, response) => {
  const { request: review } = (await json(request)) as { request: { uid: string } };
  response
    .setHeader('content-type', 'application/json')
    .end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: review.uid, allowed: true } }));
}).listen(Number(port), '127.0.0.1');

// Load of the webhook's bench: `review-load.ts PORT` prints reviews a second and the p99 in milliseconds as JSON.
import { once } from 'node:events';
import { connect } from 'node:tls';
import { rawPod } from '../../../lib/identities/decision/testing/raw-pods.ts';
import { sendRepeatedly } from '../raw-requests.ts';
import { quantile } from '../table.ts';

const connections = 4;
const reviews = 40_000;

/** Reviews on keep-alive connections. */
async function loadReviews(port: number): Promise<{ perSecond: number; p99: number }> {
  const request = { uid: 'u', kind: { group: '', version: 'v1', kind: 'Pod' }, operation: 'CREATE', namespace: 'bench', object: rawPod() };
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
  const bytes = Buffer.from(
    `POST /mutate?timeout=5s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const loadOne = async () => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const times = await sendRepeatedly(socket, bytes, reviews / connections);
    socket.destroy();
    return times;
  };
  const began = performance.now();
  const times = (await Promise.all(Array.from({ length: connections }, loadOne))).flat();
  return { perSecond: (times.length * 1000) / (performance.now() - began), p99: quantile(times, 0.99) };
}

console.log(JSON.stringify(await loadReviews(Number(process.argv[2]))));

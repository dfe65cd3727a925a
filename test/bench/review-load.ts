// Load of the webhook's bench: `review-load.ts PORT` prints reviews a second and the p99 in milliseconds as JSON.
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';

const connections = 4;
const reviews = 40_000;

/** Reviews on keep-alive connections, written as raw bytes so that the generator costs little; each waits for its answer. */
async function loadReviews(port: number): Promise<{ perSecond: number; p99: number }> {
  const request = { uid: 'u', kind: { group: '', version: 'v1', kind: 'Pod' }, operation: 'CREATE', namespace: 'bench', object: rawPod() };
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
  const bytes = Buffer.from(
    `POST /mutate?timeout=5s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const times: number[] = [];
  const one = async (count: number) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    await new Promise<void>((resolve, reject) => {
      let size = 0;
      let heard = 0;
      let left = count;
      let sent = performance.now();
      socket.on('error', reject).on('data', (chunk: Buffer) => {
        if (size === 0) {
          const end = chunk.indexOf('\r\n\r\n');
          size = end + 4 + Number(/content-length: (\d+)/i.exec(chunk.subarray(0, end).toString())?.[1]);
        }
        heard += chunk.length;
        if (heard < size) return;
        heard = 0;
        size = 0;
        times.push(performance.now() - sent);
        left -= 1;
        if (left === 0) return resolve();
        sent = performance.now();
        socket.write(bytes);
      });
      socket.write(bytes);
    });
    socket.destroy();
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: connections }, () => one(reviews / connections)));
  const perSecond = (times.length * 1000) / (performance.now() - began);
  times.sort((a, b) => a - b);
  return { perSecond, p99: times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN };
}

console.log(JSON.stringify(await loadReviews(Number(process.argv[2]))));

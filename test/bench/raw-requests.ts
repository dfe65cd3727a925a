import type { Socket } from 'node:net';

/**
 * Sends the same bytes of a request so many times, each after the answer to the one before, and returns how long each took in milliseconds. Raw bytes,
 * so that the client costs little.
 */
export function sendRepeatedly(socket: Socket, bytes: Buffer, count: number): Promise<number[]> {
  const times: number[] = [];
  let size = 0;
  let received = 0;
  let sentAt = performance.now();
  return new Promise((resolve, reject) => {
    socket.on('error', reject).on('data', (chunk: Buffer) => {
      if (size === 0) {
        const end = chunk.indexOf('\r\n\r\n');
        size = end + 4 + Number(/content-length: (\d+)/i.exec(chunk.subarray(0, end).toString())?.[1]);
      }
      received += chunk.length;
      if (received < size) return;
      received = 0;
      size = 0;
      times.push(performance.now() - sentAt);
      if (times.length === count) return resolve(times);
      sentAt = performance.now();
      socket.write(bytes);
    });
    socket.write(bytes);
  });
}

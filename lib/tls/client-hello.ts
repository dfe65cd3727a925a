// Reads the first bytes of a TLS connection. A handshake starts only when they are complete, so that a client which sends none, or half of them, costs a
// socket and no TLS connection.
import type { Socket } from 'node:net';

/** Type, version and length stand before the content of a record (RFC 8446, section 5.1). */
const headerBytes = 5;
const handshakeRecord = 22;
/** That of Go with a post-quantum key share has 1.7 kB. */
const maxBytes = 8 * 1024;

/** `invalid` is no TLS, or more than 8 KiB. */
export function clientHelloState(received: Buffer): 'partial' | 'complete' | 'invalid' {
  if (received.length > maxBytes || (received.length > 0 && received[0] !== handshakeRecord)) return 'invalid';
  if (received.length < headerBytes) return 'partial';
  const end = headerBytes + received.readUInt16BE(3);
  if (end > maxBytes) return 'invalid';
  return received.length < end ? 'partial' : 'complete';
}

export interface ClientHello {
  /** Puts the bytes back into the socket, for the TLS connection that reads it next. */
  giveBack(): void;
}

/** Reads on after `onComplete`, so that the socket closes when its client leaves. Closes a socket that sends anything else. */
export function readClientHello(socket: Socket, onComplete: () => void): ClientHello {
  let received: Buffer = Buffer.alloc(0);
  let complete = false;
  const onData = (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const state = clientHelloState(received);
    if (state === 'invalid') socket.destroy();
    else if (state === 'complete' && !complete) {
      complete = true;
      onComplete();
    }
  };
  const onEnd = () => socket.destroy();
  socket.on('data', onData).on('end', onEnd);
  // 'close' follows and says enough.
  socket.on('error', () => undefined);
  return {
    giveBack() {
      socket.off('data', onData).off('end', onEnd).pause();
      socket.unshift(received);
    },
  };
}

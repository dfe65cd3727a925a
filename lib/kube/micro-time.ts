/** Times of Leases and Events have microseconds. */
export const microTime = (date: Date): string => date.toISOString().replace('Z', '000Z');

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ConnectionTable } from './connection-limits.ts';
import { createConnectionTable } from './connection-limits.ts';

const limits = { maxConnections: 6, maxConnectionsPerSource: 4, quietMs: 1000 };
const open = (table: ConnectionTable<string>, ...connections: string[]) => {
  for (const connection of connections) table.add(connection, connection.charAt(0), 0);
};
const use = (table: ConnectionTable<string>, ...connections: string[]) => useAt(0, table, ...connections);
const useAt = (at: number, table: ConnectionTable<string>, ...connections: string[]) => {
  for (const connection of connections) {
    table.begin(connection);
    table.end(connection, at);
  }
};

describe('connection limits', () => {
  it('has no room for a source at its limit', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'a2', 'a3', 'a4');
    for (const connection of ['a1', 'a2', 'a3', 'a4']) table.begin(connection);
    assert.deepEqual(table.roomFor('a', 5_000), { room: false });
    assert.deepEqual(table.roomFor('b', 5_000), { room: true });
    table.remove('a2');
    assert.deepEqual(table.roomFor('a', 5_000), { room: true });
  });

  it('closes the oldest silent connection of a source at its limit', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'a2', 'a3', 'a4');
    use(table, 'a1');
    assert.deepEqual(table.roomFor('a', 999), { room: false });
    assert.deepEqual(table.roomFor('a', 1000), { room: true, close: 'a2' });
  });

  it('closes the oldest quiet connection of a full source that has no silent one', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'a2', 'a3', 'a4');
    use(table, 'a2', 'a3', 'a4');
    table.begin('a1');
    useAt(500, table, 'a2');
    assert.deepEqual(table.roomFor('a', 999), { room: false });
    assert.deepEqual(table.roomFor('a', 1000), { room: true, close: 'a3' });
  });

  it('takes from the source with the most when all are in use', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'a2', 'a3', 'a4', 'b1', 'b2');
    use(table, 'a1', 'a3');
    assert.deepEqual(table.roomFor('c', 0), { room: true, close: 'a2' }, 'a silent one first');
    use(table, 'a2', 'a4');
    assert.deepEqual(table.roomFor('c', 0), { room: true, close: 'a1' }, 'then an idle one');
    for (const connection of ['a1', 'a2', 'a3', 'a4']) table.begin(connection);
    assert.deepEqual(table.roomFor('c', 0), { room: false }, 'never one with a request');
  });

  it('takes a quiet connection of the largest source before a new one', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'b1', 'b2');
    for (const connection of ['a2', 'a3', 'a4']) table.add(connection, 'a', 500);
    useAt(100, table, 'a1');
    assert.deepEqual(table.roomFor('c', 1_099), { room: true, close: 'a2' });
    assert.deepEqual(table.roomFor('c', 1_100), { room: true, close: 'a1' });
  });

  it('takes nothing from a source that has no more than the asking one', () => {
    const table = createConnectionTable<string>(limits);
    open(table, 'a1', 'a2', 'b1', 'b2', 'c1', 'c2');
    assert.deepEqual(table.roomFor('a', 5_000), { room: false });
    assert.equal(table.roomFor('d', 5_000).close, 'a1');
  });

  it('keeps its bounds, and gives every source its share', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'a', 'a', 'a', 'b', 'c'), { maxLength: 100 }), (arrivals) => {
        const table = createConnectionTable<string>(limits);
        const count = new Map<string, number>();
        const add = (source: string, by: number) => count.set(source, (count.get(source) ?? 0) + by);
        for (const [index, source] of arrivals.entries()) {
          const { room, close } = table.roomFor(source, 0);
          if (close !== undefined) {
            table.remove(close);
            add(close.charAt(0), -1);
          }
          if (room) {
            table.add(`${source}${index}`, source, 0);
            add(source, 1);
          } else assert.ok((count.get(source) ?? 0) >= 2, 'a third of the connections belongs to each of three sources');
          assert.ok(table.size <= limits.maxConnections && (count.get(source) ?? 0) <= limits.maxConnectionsPerSource);
        }
      }),
    );
  });
});

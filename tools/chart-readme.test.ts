import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { chartReadme, renderChartReadme } from './chart-readme.ts';
import { chartGroups } from './chart-values.ts';

describe('the README of the chart', () => {
  it('is what values.yaml, values.schema.json and Chart.yaml make of it', () => {
    const page = existsSync(chartReadme) ? readFileSync(chartReadme, 'utf8') : '';
    assert.ok(page === renderChartReadme(), 'the README of the chart is old: run `npm run chart-readme` and commit what it writes');
  });
});

describe('chartGroups', () => {
  const schema = {
    properties: {
      mode: { enum: ['a', 'b', true, 'true'] },
      part: {
        type: 'object',
        properties: {
          size: { type: 'integer', description: 'Of the schema.' },
          names: { type: 'array', items: { $ref: '#/$defs/name' } },
          labels: { $ref: '#/$defs/labels' },
          deep: { type: 'object', properties: { level: { enum: ['low', 'high'] }, other: { type: 'string' } } },
          hidden: { type: ['string', 'object', 'null'] },
          former: { $ref: '#/$defs/labels', deprecated: true },
        },
      },
    },
    $defs: { name: { type: 'string' }, labels: { type: 'object', properties: { never: false } } },
  };
  const groupsOf = (valuesYaml: string, programs = {}) =>
    chartGroups({ valuesYaml, schema, programs: new Map(Object.entries(programs)) }).map(({ name, text, values }) => ({
      name,
      text,
      rows: values.map((value) => [value.path, value.type, value.fallback, value.text]),
    }));
  const rowOf = (path: string, valuesYaml: string, programs = {}) =>
    groupsOf(valuesYaml, programs)
      .flatMap(({ rows }) => rows)
      .find(([name]) => name === path);

  it('orders values as values.yaml does, with those that it lacks at the end', () => {
    const [general, part] = groupsOf('part:\n  # names: []\n  size: 1\n# About the mode.\nmode: a\n');
    assert.deepEqual(general, { name: '', text: '', rows: [['mode', 'a | b | true', '"a"', 'About the mode.']] });
    assert.deepEqual(
      part?.rows.map(([path]) => path),
      ['part.names', 'part.size', 'part.labels', 'part.hidden', 'part.deep.level', 'part.deep.other'],
    );
  });

  it('joins the comments before and behind a value and the text of the schema', () => {
    const yaml = 'part:\n  # One line,\n  # and: another one.\n  size: 1 # behind\n';
    assert.deepEqual(rowOf('part.size', yaml), ['part.size', 'integer', '1', 'One line, and: another one. behind Of the schema.']);
  });

  it('reads a value that is commented out, without the lines of its example', () => {
    const yaml = 'part: {}\n  # Names.\n  # names:       # of people\n  #   - example: x\n\n  # More.\n  # size: 2\n';
    assert.deepEqual(rowOf('part.names', yaml), ['part.names', 'list of string', '', 'Names. of people']);
    assert.equal(rowOf('part.size', yaml)?.[3], 'More. Of the schema.');
  });

  it('tells the text of an inner group at its first value', () => {
    const yaml = '# The part.\npart:\n  # How deep.\n  deep:\n    # The level.\n    level: low\n    other: x\n';
    assert.equal(groupsOf(yaml)[1]?.text, 'The part.');
    assert.equal(rowOf('part.deep.level', yaml)?.[3], 'How deep. The level.');
    assert.equal(rowOf('part.deep.other', yaml)?.[3], '');
  });

  it('tells what the program says of its setting where values.yaml says nothing', () => {
    const setting = { description: 'By the program.', form: 'a | b', fallback: 'b' };
    const programs = { mode: setting, 'part.names': { ...setting, form: 'comma separated', fallback: ['x'] } };
    assert.deepEqual(rowOf('mode', '# mode: b # a, b\n', programs), ['mode', 'a | b', '"b"', 'By the program.']);
    assert.deepEqual(rowOf('part.names', 'part: {}\n', programs), ['part.names', 'list of string', '["x"]', 'By the program.']);
  });

  it('leaves out what the schema calls deprecated, unless values.yaml has it', () => {
    assert.equal(rowOf('part.former', 'part: {}\n'), undefined);
    assert.deepEqual(rowOf('part.former', 'part:\n  # The old way.\n  former: {}\n'), ['part.former', 'object', '{}', 'The old way.']);
  });

  it('takes a map of free keys as one value, and names several types', () => {
    const yaml = 'part:\n  labels: { a: b }\n';
    assert.deepEqual(rowOf('part.labels', yaml), ['part.labels', 'object', '{"a":"b"}', '']);
    assert.equal(rowOf('part.hidden', yaml)?.[1], 'string or object');
  });
});

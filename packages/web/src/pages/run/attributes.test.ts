import { describe, expect, it } from 'vitest';
import { stringifiedOf, typeOf } from './attributes.ts';

describe('what an attribute is', () => {
  it('[RPG-2] values say their type, and of which only the text was kept', () => {
    const values = ['a', 1, true, null, { time: 5 }, ['a', 'b'], { nested: 1 }, `data:sha256:${'0f'.repeat(32)}`];
    expect(values.map(typeOf)).toEqual(['text', 'number', 'bool', 'none', 'time', 'list', 'other', 'data']);
    const attributes = new Map([
      ['sys/stringified', ['torch.device params/device', 'my.Type a path/with blanks', 'broken']],
    ]);
    expect([...stringifiedOf(attributes)]).toEqual([
      ['params/device', 'torch.device'],
      ['a path/with blanks', 'my.Type'],
    ]);
    expect(stringifiedOf(new Map([['sys/stringified', 'text']]))).toEqual(new Map());
  });
});

import { describe, expect, it } from 'vitest';
import { nameIn, personName } from './person.ts';

describe('the name that edits are made under', () => {
  it('comes from the environment, then the configuration, and is one line', async () => {
    expect(await personName({ FIELDBOOK_USER: 'Ada\nLovelace ' }, 'Grace')).toBe('Ada Lovelace');
    expect(await personName({ HOME: '/nowhere' }, 'Grace')).toBe('Grace');
    expect(await personName({ HOME: '/nowhere' }, null)).not.toBe('');
  });

  it('is found in git’s own files', () => {
    expect(nameIn('[core]\n\tname = no\n[user]\n\temail = a@b\n\tname = "Ada L"\n[alias]\nname = no\n')).toBe('Ada L');
    expect(nameIn('[user]\n  email = a@b\n')).toBeUndefined();
  });
});

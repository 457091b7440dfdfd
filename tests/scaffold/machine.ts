import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { emptyFolder } from './folder.ts';
import type { Ended, Program } from './program.ts';
import { startCommand, startProgram } from './program.ts';
import { pythonForTests } from './python.ts';
import { ROOT } from '../../.ci/lib/paths.mjs';

/** An answer of the HTTP API. */
export interface Answer<T> {
  status: number;
  body: T;
}

/** One machine of a test: a home directory, and an agent on it whenever the test wants one. */
export class Machine {
  readonly home: string;
  readonly person: string;
  readonly #env: Readonly<Record<string, string>>;
  #agent: Program | undefined;
  #url = '';

  /** Call it inside of a test: the home and whatever runs on it are gone after it. */
  constructor(name: string, person: string) {
    this.home = emptyFolder(name);
    this.person = person;
    this.#env = { FIELDBOOK_HOME: this.home, FIELDBOOK_USER: person, FIELDBOOK_HOST: name };
  }

  get url(): string {
    return this.#url;
  }

  /** Starts the agent and waits until it answers. */
  async up(): Promise<this> {
    this.#agent = startProgram('fieldbook', ['up', '--foreground', '--port', '0'], {
      ...this.#env,
      FIELDBOOK_HOME: this.home,
    });
    const [, url] = await this.#agent.says(/running at (http:\/\/\S+)/);
    this.#url = url!;
    return this;
  }

  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended | undefined> {
    const agent = this.#agent;
    this.#agent = undefined;
    return agent?.stop(signal);
  }

  /** Runs a command of the CLI to its end and gives back what it printed; throws when it fails. */
  async cli(...args: string[]): Promise<string> {
    const program = startProgram('fieldbook', args, { ...this.#env, FIELDBOOK_HOME: this.home });
    const { code } = await program.ended;
    if (code !== 0) throw new Error(`fieldbook ${args.join(' ')} ended with ${code}:\n${program.output()}`);
    return program.output();
  }

  /** Runs a training script, or any Python, against this home. */
  train(script: string, ...args: string[]): Program {
    const { command, env } = pythonForTests();
    return startCommand(command, [script, ...args], { ...env, ...this.#env, FIELDBOOK_HOME: this.home });
  }

  /** The HTTP API of the running agent, as its owner. */
  api<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
    const token = readFileSync(join(this.home, 'agent.token'), 'utf8').trim();
    return callApi<T>(this.#url, token, method, path, body);
  }
}

/** A relay of a test, with its data in a directory that outlives its restarts. */
export class Relay {
  readonly data = emptyFolder('relay');
  #program: Program | undefined;
  #url = '';
  #port = 0;

  get url(): string {
    return this.#url;
  }

  /** Starts the relay, on the port that it had before; with further options of `serve` and settings. */
  async up(options: readonly string[] = [], settings: Readonly<Record<string, string>> = {}): Promise<this> {
    const args = ['serve', '--port', String(this.#port), '--data', this.data, ...options];
    this.#program = startProgram('fieldbook-relay', args, { ...settings, FIELDBOOK_HOME: this.data });
    const [, url] = await this.#program.says(/running at (https?:\/\/127\.0\.0\.1:\d+)/);
    this.#url = url!;
    this.#port = Number(new URL(url!).port);
    return this;
  }

  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended | undefined> {
    const program = this.#program;
    this.#program = undefined;
    return program?.stop(signal);
  }

  /** Of the running relay. */
  get pid(): number {
    return this.#program!.pid;
  }

  /** Resolves when the running relay has said so. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#program!.says(pattern);
  }

  /** What the running relay has said so far. */
  output(): string {
    return this.#program?.output() ?? '';
  }

  /** A fresh token of the given role. */
  async token(role: 'admin' | 'member' | 'contributor' | 'viewer', name: string, ...more: string[]): Promise<string> {
    const program = startProgram(
      'fieldbook-relay',
      ['token', 'create', '--role', role, '--name', name, ...more, '--data', this.data],
      { FIELDBOOK_HOME: this.data },
    );
    const [token] = await program.says(/fbt_[A-Za-z0-9_-]+/);
    await program.ended;
    return token;
  }

  api<T>(token: string, method: string, path: string, body?: unknown): Promise<Answer<T>> {
    return callApi<T>(this.#url, token, method, path, body);
  }
}

/** Where an example of the repository lies. */
export function example(path: string): string {
  return join(ROOT, 'examples', path);
}

async function callApi<T>(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer<T>> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

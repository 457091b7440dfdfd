import { jsonLog } from '../platform/ports.ts';
import type { LogLevel } from '../platform/ports.ts';
import { startRelay } from '../relay.ts';
import type { DataOption } from './program.ts';

interface ServeOptions extends DataOption {
  host: string;
  port: number;
  allowHost?: string[];
  allowOrigin?: string[];
  web?: string;
  logLevel: LogLevel;
}

/** Runs until SIGTERM or SIGINT; a second one does not wait. */
export async function serve(options: ServeOptions): Promise<void> {
  const log = jsonLog((line) => process.stderr.write(line), options.logLevel);
  const relay = await startRelay({
    data: options.data,
    host: options.host,
    port: options.port,
    hosts: options.allowHost ?? [],
    origins: options.allowOrigin ?? [],
    log,
    ...(options.web === undefined ? {} : { web: options.web }),
  });
  process.stdout.write(`Fieldbook relay is running at ${relay.url}\n`);
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  log.info('relay.stopping', { signal });
  await relay.close();
  log.info('relay.stopped');
}

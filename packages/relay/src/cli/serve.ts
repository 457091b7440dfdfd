import { jsonLog } from '../platform/ports.ts';
import { startRelay } from '../relay.ts';
import type { SettingFlags } from './config.ts';
import { configOf } from './config.ts';

/** Runs until SIGTERM or SIGINT; a second one does not wait. SIGHUP reads the certificate again. */
export async function serve(options: SettingFlags, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { config, unknownVariables } = configOf(options, env);
  const log = jsonLog((line) => process.stderr.write(line), config['log.level']);
  for (const variable of unknownVariables) log.warn('config.unknown_variable', { variable });
  const relay = await startRelay({ config, log });
  process.stdout.write(`Fieldbook relay is running at ${relay.url}\n`);
  process.on('SIGHUP', () => void relay.reload());
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  log.info('relay.stopping', { signal });
  await relay.close();
  log.info('relay.stopped');
}

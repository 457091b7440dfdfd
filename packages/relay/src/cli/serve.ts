import { jsonLog } from '../platform/ports.ts';
import { startRelay } from '../relay.ts';
import type { SettingFlags } from './config.ts';
import { configOf } from './config.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** What closing may take besides waiting for requests: goodbyes, the last fsyncs, the store. */
const CLOSE_MS = 15_000;

/** Runs until SIGTERM or SIGINT; a second one does not wait. SIGHUP reads the certificate again. */
export async function serve(options: SettingFlags, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { config, unknownVariables } = configOf(options, env);
  const log = jsonLog((line) => process.stderr.write(line), config['log.level']);
  for (const variable of unknownVariables) log.warn('config.unknown_variable', { variable });
  const relay = await startRelay({ config, log });
  process.stdout.write(`Fieldbook relay is running at ${relay.url}\n`);
  process.on('SIGHUP', () => void relay.reload());
  const signal = await firstSignal();
  log.info('relay.stopping', { signal });
  relay.drain();
  // A load balancer that looks at /readyz now and then has to see it before connections are refused.
  if (config['drain.delay'] > 0) await new Promise((resolve) => setTimeout(resolve, config['drain.delay']));
  const late = config['drain.timeout'] + CLOSE_MS;
  const cut = setTimeout(() => {
    log.error('relay.not_stopped', { after: late });
    process.exit(1);
  }, late);
  await relay.close();
  clearTimeout(cut);
  log.info('relay.stopped');
}

/** Once; the next one ends the process as if nobody listened. What was acknowledged is on disk by then. */
function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    const heard = (name: string): void => {
      for (const signal of SIGNALS) process.off(signal, heard);
      resolve(name);
    };
    for (const signal of SIGNALS) process.on(signal, heard);
  });
}

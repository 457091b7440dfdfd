/**
 * Ends this process as SIGTERM does when the one that started it is gone.
 *
 * npm runs scripts through a shell, and passes signals on to the shell only: where `sh` is dash, stopping `npm start`
 * would leave the agent running with nobody to stop it, and a cancelled `npm test` would go on testing.
 */
export function endWithParent() {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  timer.unref();
}

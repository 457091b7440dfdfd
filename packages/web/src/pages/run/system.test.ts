import { describe, expect, it } from 'vitest';
import { systemGroups, systemMetric } from './system.ts';

describe('metrics of the machine', () => {
  it('[RPG-3] are told by what they measure, in which unit and of whom, on several machines too', () => {
    expect(systemMetric('sys/gpu/1/memory_bytes')).toMatchObject({
      group: 'GPU',
      label: 'Memory',
      of: 'GPU 1',
      unit: 'B',
    });
    expect(systemMetric('sys/node-7/gpu/0/power_watts')).toMatchObject({
      group: 'GPU',
      label: 'Power',
      of: 'GPU 0 on node-7',
      unit: 'W',
    });
    expect(systemMetric('sys/process/rss_bytes')).toMatchObject({ group: 'Memory', of: 'Process', unit: 'B' });
    expect(systemMetric('sys/machine/net_sent_bytes_per_s')).toMatchObject({
      group: 'Network',
      label: 'Sent',
      unit: 'B/s',
    });
    expect(systemMetric('sys/node-7/machine/cpu_percent')).toMatchObject({
      group: 'CPU',
      of: 'Machine on node-7',
      unit: '%',
    });
    expect(systemMetric('sys/tpu/0/duty_cycle')).toMatchObject({ group: 'Others', label: 'duty cycle', unit: '' });
    expect(systemMetric('sys/odd')).toMatchObject({ group: 'Others', label: 'odd' });
  });

  it('[RPG-3] stand GPUs first, each GPU in the order of its number', () => {
    const groups = systemGroups([
      'sys/machine/cpu_percent',
      'sys/gpu/10/power_watts',
      'sys/gpu/2/power_watts',
      'sys/process/rss_bytes',
    ]);
    expect(groups.map(({ group, metrics }) => [group, metrics.map(({ of }) => of)])).toEqual([
      ['GPU', ['GPU 2', 'GPU 10']],
      ['CPU', ['Machine']],
      ['Memory', ['Process']],
    ]);
  });
});

import { setTimeout as pass } from 'node:timers/promises';
import { clockContract, randomContract, timersContract } from '@fieldbook/core/testing/contracts';
import { clock, random, timers } from './ports.ts';

clockContract("the agent's", clock);
randomContract("the agent's", random);
timersContract("the agent's", timers, (ms) => pass(ms));

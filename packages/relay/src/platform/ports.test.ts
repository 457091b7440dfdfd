import { setTimeout as pass } from 'node:timers/promises';
import { clockContract, randomContract, timersContract } from '@fieldbook/core/testing/contracts';
import { clock, random, timers } from './ports.ts';

clockContract("the relay's", clock);
randomContract("the relay's", random);
timersContract("the relay's", timers, (ms) => pass(ms));

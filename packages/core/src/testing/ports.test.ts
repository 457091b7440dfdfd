import { clockContract, FakeClock, randomContract, SeededRandom } from './index.ts';

clockContract('turned by hand', new FakeClock());
randomContract('seeded', new SeededRandom(1));

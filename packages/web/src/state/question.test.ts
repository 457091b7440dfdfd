import { describe, expect, it } from 'vitest';
import { Question } from './question.ts';

interface Open {
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
}

/** Questions that the test answers one by one. */
class Answers {
  readonly open: Open[] = [];

  readonly read = (): Promise<string> => new Promise((resolve, reject) => this.open.push({ resolve, reject }));
}

/** Everything that was resolved has been taken. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a question of a page', () => {
  it('[CMP-11] gets its answer however often it is asked meanwhile, and is asked once more after it', async () => {
    const answers = new Answers();
    const taken: string[] = [];
    const question = new Question<string>((answer) => taken.push(answer), expect.unreachable);
    for (let change = 0; change < 5; change++) question.ask('a,b', answers.read);
    expect(answers.open).toHaveLength(1);
    answers.open[0]!.resolve('first');
    await settled();
    expect(taken).toEqual(['first']);
    expect(answers.open).toHaveLength(2);
    answers.open[1]!.resolve('second');
    await settled();
    expect(taken).toEqual(['first', 'second']);
    expect(answers.open).toHaveLength(2);
  });

  it('[CMP-11] never takes the answer, or the failure, of the question before', async () => {
    const answers = new Answers();
    const taken: string[] = [];
    const question = new Question<string>(
      (answer) => taken.push(answer),
      (error) => taken.push((error as Error).message),
    );
    question.ask('a,b', answers.read);
    question.ask('a,b', answers.read);
    question.ask('a,c', answers.read);
    expect(answers.open).toHaveLength(2);
    answers.open[1]!.resolve('of a and c');
    answers.open[0]!.reject(new Error('of a and b'));
    await settled();
    expect(taken).toEqual(['of a and c']);
    // The one before is not asked again either.
    expect(answers.open).toHaveLength(2);
    question.drop();
    question.ask('a,d', answers.read);
    question.drop();
    answers.open[2]!.resolve('of a and d');
    await settled();
    expect(taken).toEqual(['of a and c']);
  });
});

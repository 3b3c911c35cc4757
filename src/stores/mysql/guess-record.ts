/** Weight of the newest batch in the running share. */
const WEIGHT = 0.25;

/**
 * Locking the heads first costs the database a quarter more than a right guess, a wrong guess two thirds:
 * it is locked and planned anew.
 */
const WORTHWHILE_SHARE = 0.65;

/**
 * How often all guesses of a batch have lately been right. Where other processes write the same keys, next
 * to none are, and heads are better locked and read at once. What is then found tells whether guesses
 * would have been right, so they are taken up again when the others have gone.
 */
export class GuessRecord {
  #share = 1;

  get areGood(): boolean {
    return this.#share >= WORTHWHILE_SHARE;
  }

  learn(isRight: boolean): void {
    this.#share += ((isRight ? 1 : 0) - this.#share) * WEIGHT;
  }
}

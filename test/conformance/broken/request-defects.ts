import { setImmediate as turn } from "node:timers/promises";
import type { Outcome, Store, Transaction } from "../../../src/store.ts";
import { sharedValue, type Defect, type SpoilContext } from "./defect.ts";
import { commitOne, commits } from "./write-defects.ts";

const FIRST_OUTCOME = "answers the first outcome to the same request id, and writes nothing";
const RACED = "writes once when one request id is raced twenty times";

/** Forgets request ids by this rule. */
function forgets(
  what: string,
  caughtBy: string,
  isForgotten: (transaction: Transaction) => boolean,
): Defect {
  return commits(what, caughtBy, (inner, transactions) =>
    inner.commit(
      transactions.map((one) => (isForgotten(one) ? { ...one, request: undefined } : one)),
    ),
  );
}

type Remembered = Map<string, Outcome>;

/** Keeps outcomes by request id itself, beside the store instead of in it. */
async function rememberBeside(
  inner: Store,
  transaction: Transaction,
  outcomes: Remembered,
  worthIt: (outcome: Outcome) => boolean,
): Promise<Outcome> {
  const { request } = transaction;
  const known = request && outcomes.get(request.id);
  if (known !== undefined)
    return known.outcome === "committed" ? { ...known, replayed: true } : known;
  await turn();
  const outcome = await commitOne(inner, { ...transaction, request: undefined });
  if (request !== undefined && worthIt(outcome)) outcomes.set(request.id, outcome);
  return outcome;
}

function beside(
  what: string,
  caughtBy: string,
  options: {
    readonly outcomes: (context: SpoilContext) => Remembered;
    readonly worthIt: (outcome: Outcome) => boolean;
  },
): Defect {
  return commits(what, caughtBy, async (inner, transactions, context) => {
    const results: Outcome[] = [];
    const outcomes = options.outcomes(context);
    for (const one of transactions) {
      results.push(await rememberBeside(inner, one, outcomes, options.worthIt));
    }
    return results;
  });
}

const isCommitted = ({ outcome }: Outcome): boolean => outcome === "committed";
const ofAll = (context: SpoilContext): Remembered =>
  sharedValue(context, "outcomes", () => new Map<string, Outcome>());
const ofInstances = new WeakMap<SpoilContext, Remembered>();
const ofOne = (context: SpoilContext): Remembered => {
  const known = ofInstances.get(context) ?? new Map<string, Outcome>();
  ofInstances.set(context, known);
  return known;
};

export const requestDefects: readonly Defect[] = [
  forgets("forgets request ids", FIRST_OUTCOME, () => true),
  forgets(
    "forgets the request ids of deletes",
    "replays a delete without deleting what was put since",
    ({ deletes }) => deletes.length > 0,
  ),
  forgets(
    "forgets the request ids of transactions over several keys",
    "replays a transaction over several keys",
    ({ puts }) => puts.length > 1,
  ),
  forgets(
    "weighs conditions before it looks for the request id",
    "replays a request whose conditions no longer hold",
    ({ conditions }) => conditions.length > 0,
  ),
  beside("looks for a request id some time before it writes", RACED, {
    outcomes: ofAll,
    worthIt: isCommitted,
  }),
  beside(
    "does not look at what a request id was used for",
    "refuses a request id that was used for something else",
    {
      outcomes: ofAll,
      worthIt: isCommitted,
    },
  ),
  beside("remembers a conflict", "does not remember a conflict", {
    outcomes: ofAll,
    worthIt: () => true,
  }),
  beside(
    "remembers request ids in each instance by itself",
    "knows a request id of another instance, also at the same moment",
    { outcomes: ofOne, worthIt: isCommitted },
  ),
  beside("answers a replay with the reads of the first time", "makes the reads of a replay anew", {
    outcomes: ofAll,
    worthIt: isCommitted,
  }),
  commits(
    "gives a replay's answer as if it had just written",
    FIRST_OUTCOME,
    async (inner, transactions) =>
      (await inner.commit(transactions)).map((outcome) =>
        outcome.outcome === "committed" ? { ...outcome, replayed: false } : outcome,
      ),
  ),
  commits(
    "takes a request id for done from the first time it sees it in a batch",
    "takes one request id several times in one batch as one request",
    async (inner, transactions) => {
      const again = transactions.filter((one, i) =>
        transactions
          .slice(0, i)
          .some(({ request }) => request !== undefined && request.id === one.request?.id),
      );
      return inner.commit(
        transactions.map((one) => (again.includes(one) ? { ...one, request: undefined } : one)),
      );
    },
  ),
  {
    what: "forgets request ids with its housekeeping",
    caughtBy: "still knows a request id after housekeeping",
    spoil: (inner, context) => {
      const state = sharedValue(context, "state", () => ({ epoch: 0 }));
      const spoiled = commits("", "", (store, transactions) =>
        store.commit(
          transactions.map((one) => ({
            ...one,
            request: one.request && { ...one.request, id: `${state.epoch}${one.request.id}` },
          })),
        ),
      ).spoil(inner, context);
      spoiled.maintain = async (options) => {
        state.epoch += 1;
        return inner.maintain(options);
      };
      return spoiled;
    },
  },
];

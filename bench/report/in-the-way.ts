import type { StoreName } from "../options.ts";

/**
 * What profiles show where a figure is missed. These are findings of people, made on the revisions that
 * the decision pages they name are about: whoever changes what one describes measures it anew.
 */
export const IN_THE_WAY: Readonly<Record<StoreName, string>> = {
  memory:
    "Of a GET the system call that writes the answer takes 36 %, `node:http` 30 % and polling 10 %, which the bare " +
    "server has too. Ours are 18 %, spread over twenty functions of which none has 3 %: engine and store take " +
    "1.6 µs. Of a PUT the collector takes 7 to 10 %, engine and store 4 to 5 µs. Its p99 was the collection of the young " +
    "generation, 5 to 9 ms every 2,000 PUTs, which moves what the store keeps; since " +
    "[0021](decisions/0021-short-collections.md) they are four times as many and half as long. With a million keys, engine and " +
    "store take 7.4 µs of a GET in place of 2.1 with a thousand.",
  sqlite:
    "What the memory store takes, and the thread that writes: four B-trees for each PUT (the head, the version, its " +
    "index, the feed) and a flush for each batch, on the two cores that wrk wants too. One PUT at a time waits for " +
    "the message to that thread and back, where the naive server flushes in its only one. A version of a key " +
    "of a million took 1.4 times the processor time of one of 500 keys of ten; where that goes was not looked for.",
  redis:
    "Our process takes 3 µs of a GET beside what the memory store takes, and Redis 11; the two and wrk want more than " +
    "two cores. Of a PUT Redis takes 24 µs, where the naive server's takes 12: head, version, index and feed are " +
    "written besides, and the reply is kept for a caller that lost it. Alone, that is one script with seven commands " +
    "against one command ([0010](decisions/0010-redis-one-script-per-batch.md)).",
  mariadb:
    "A PUT takes the database about 62 µs: a third is parsing, a third the rows of versions. Our process takes 24 µs " +
    "beside what the memory store takes, with no function above 4 %; one at a time, ten times that, from cold caches. " +
    "Less text would need prepared statements of several rows in one round trip, which the driver can't pipeline " +
    "([0011](decisions/0011-mysql-one-packet-per-batch.md)).",
  mongodb:
    "MongoDB takes 50 to 70 µs for each document of a PUT (the document, two entries of indexes, its log of " +
    "operations), one batch after the other, as all 64 clients wait for it; two lanes cost more than they overlap. Of a " +
    "GET our process takes 12 to 16 µs beside what the memory store takes, half of it one `hello` for each batch. " +
    "A remembered version of a key costs 10 µs of both processes, one that is not 80, mostly to read a document of " +
    "15 kB for one entry ([0012](decisions/0012-mongodb-log-of-segments.md)).",
};

import type { ContenderName } from "../peers/contender.ts";

/** What one has to know of a contender to read its figures rightly. */
export const CONTENDER_NOTES: Readonly<Record<ContenderName, string>> = {
  bare: "`node:http` alone: reads the request, answers the bytes that ours answered, keeps nothing. The limit.",
  ours: "One process of this server.",
  base: "One process of this server, at the other revision.",
  workers: "This server with `--workers 2`: two processes behind one port.",
  naive:
    "A Fastify server as one would write it in an afternoon: one call to the back end per request, with the same driver. " +
    "It keeps no time, digest or feed, takes no conditions, and a lost answer leaves its caller in doubt. " +
    "Over Redis it reads value and version by two commands that a write may come between; " +
    "over MongoDB a version is counted before it is stored, so a crash leaves a hole and a reader may find the version before.",
  webdis:
    "A C program with two threads that passes HTTP on to Redis: RPUSH, LINDEX. No conditions, no delete that is safe against writers, no times.",
  etcd: "Version 3's JSON gateway, one member: values in base64; a version is read by the revision of the whole store; old ones go at compaction.",
  nats: "JetStream's key-value bucket with its own client, behind Fastify. Keeps 64 versions of a key at most, numbers them for the whole bucket, and acknowledges before its disk has them.",
};

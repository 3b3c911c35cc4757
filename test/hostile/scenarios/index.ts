import type { Scenario } from "../scenario.ts";
import { BODIES } from "./bodies.ts";
import { DEEP_JSON } from "./deep-json.ts";
import { MALFORMED_REQUESTS } from "./malformed.ts";
import { MANY } from "./many.ts";
import { SLOW } from "./slow.ts";
import { UNREAD } from "./unread.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...SLOW,
  ...UNREAD,
  ...BODIES,
  ...MALFORMED_REQUESTS,
  ...DEEP_JSON,
  ...MANY,
];

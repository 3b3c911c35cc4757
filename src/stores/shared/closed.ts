import { StateError } from "../../errors.ts";

/** What every call to a store answers after `close`. */
export function closedError(): StateError {
  return new StateError("store_unavailable", "The store is closed. Nothing was written.");
}

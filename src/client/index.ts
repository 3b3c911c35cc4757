export type * from "../api.ts";
export type { Entry, EntryInfo, EntryRef } from "../store.ts";
export { ERRORS, StateError, type Applied, type ErrorCode } from "../errors.ts";
export { StateClient, type ClientOptions } from "./state-client.ts";

import { toJsonSchema as convert } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";

import type { JsonSchema } from "./route.ts";

/** What a checked schema looks like in the OpenAPI document, which speaks JSON Schema 2020-12. */
export function toJsonSchema(schema: GenericSchema): JsonSchema {
  const { $schema: _dialect, ...rest } = convert(schema, {
    target: "draft-2020-12",
    typeMode: "output",
    // A check in code has no JSON Schema; it is described in words.
    errorMode: "ignore",
    overrideAction: ({ valibotAction, jsonSchema }) =>
      isFormat(valibotAction)
        ? { ...jsonSchema, format: valibotAction.metadata.format }
        : undefined,
  });
  return rest;
}

function isFormat(action: object): action is { readonly metadata: { readonly format: string } } {
  const metadata: unknown = "metadata" in action ? action.metadata : undefined;
  return typeof metadata === "object" && metadata !== null && "format" in metadata;
}

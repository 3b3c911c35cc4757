/** What the server says of itself in `/-/readyz?verbose`. */
export interface ServerFigures {
  readonly inFlight: number;
  readonly heldBytes: number;
  readonly watchers: number;
}

export async function readServer(url: string): Promise<ServerFigures> {
  const answer = await fetch(`${url}/-/readyz?verbose`);
  return ((await answer.json()) as { readonly server: ServerFigures }).server;
}

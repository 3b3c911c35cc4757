/** Each second's texts are made once: formatting a date takes longer than looking up a key. */
class SecondTexts {
  readonly #format: (date: Date) => string;
  readonly #texts = new Map<number, string>();

  constructor(format: (date: Date) => string) {
    this.#format = format;
  }

  at(second: number): string {
    const known = this.#texts.get(second);
    if (known !== undefined) return known;
    if (this.#texts.size >= SECONDS_MAX) this.#texts.clear();
    const text = this.#format(new Date(second * 1000));
    this.#texts.set(second, text);
    return text;
  }
}

const SECONDS_MAX = 4_096;

const httpDates = new SecondTexts((date) => date.toUTCString());
const rfc3339Seconds = new SecondTexts((date) => date.toISOString().slice(0, -"000Z".length));

/** A moment as JSON and parameters have it: RFC 3339 in UTC with milliseconds. */
export function toRfc3339(ms: number): string {
  const second = Math.floor(ms / 1000);
  const rest = ms - second * 1000;
  const zeros = rest < 10 ? "00" : rest < 100 ? "0" : "";
  return `${rfc3339Seconds.at(second)}${zeros}${rest}Z`;
}

/** A moment as HTTP headers have it, in whole seconds. */
export function toHttpDate(ms: number): string {
  return httpDates.at(Math.floor(ms / 1000));
}

const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+\- ]\d\d:\d\d)$/;

/** Milliseconds of a moment with a date, a time and an offset; undefined for all else. */
export function parseRfc3339(text: string): number | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", offset = ""] = match;
  // A "+" that was not escaped in a query has arrived as a blank.
  const zone = offset.toUpperCase().replace(" ", "+");
  const date = `${year}-${month}-${day}`;
  const time = Date.parse(
    `${date}T${hour}:${minute}:${second}.${fraction.padEnd(3, "0").slice(0, 3)}${zone}`,
  );
  if (Number.isNaN(time)) return undefined;
  // `Date.parse` takes February 31st for March 3rd.
  const isRealDay = new Date(`${date}T00:00:00Z`).toISOString().startsWith(date);
  return isRealDay ? time : undefined;
}

const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** Milliseconds of a date in the one form that HTTP senders may make; undefined for all else. */
export function parseHttpDate(text: string): number | undefined {
  if (!HTTP_DATE.test(text)) return undefined;
  const time = Date.parse(text);
  return new Date(time).toUTCString() === text ? time : undefined;
}

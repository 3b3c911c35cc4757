interface Range {
  readonly type: string;
  readonly quality: number;
}

/**
 * Picks the type of `offers` (best first) that an `Accept` header likes most; the first where there
 * is no header, undefined where none is acceptable.
 */
export function pickType<const T extends string>(
  header: string | undefined,
  offers: readonly T[],
): T | undefined {
  if (header === undefined || header.trim() === "") return offers[0];
  const ranges = header.split(",").map(parseRange);
  let best: T | undefined;
  let bestQuality = 0;
  for (const offer of offers) {
    const quality = qualityOf(offer, ranges);
    if (quality > bestQuality) {
      best = offer;
      bestQuality = quality;
    }
  }
  return best;
}

function parseRange(item: string): Range {
  const [type = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
  const sent = parameters.find((parameter) => parameter.startsWith("q="));
  const quality = sent === undefined ? 1 : Number(sent.slice(2));
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

/** The most specific range that covers the type decides. */
function qualityOf(offer: string, ranges: readonly Range[]): number {
  const group = `${offer.slice(0, offer.indexOf("/"))}/*`;
  for (const type of [offer, group, "*/*"]) {
    const range = ranges.find((candidate) => candidate.type === type);
    if (range !== undefined) return range.quality;
  }
  return 0;
}

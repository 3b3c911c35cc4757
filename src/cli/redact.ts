const MASK = "***";

/** Query parameters of store URLs that hold a secret, whatever the driver calls them. */
const SECRET_PARAMETER = /^(.*(password|passphrase|passwd|pwd|secret|token).*|auth|pass)$/i;

/**
 * The same URL without its passwords, for people and logs. It reads no grammar, so that it is safe on
 * lists of hosts, on unescaped passwords and on texts that are no URL at all.
 */
export function redactUrl(url: string): string {
  const match = /^([^:/?#]*:\/\/)(.*)@([^@]*)$/s.exec(url);
  if (match === null) return redactParameters(url);
  const [, scheme = "", login = "", rest = ""] = match;
  const colon = login.indexOf(":");
  const user = colon === -1 ? login : login.slice(0, colon);
  return `${scheme}${colon === -1 ? user : `${user}:${MASK}`}@${redactParameters(rest)}`;
}

function redactParameters(url: string): string {
  const start = url.indexOf("?");
  if (start === -1) return url;
  const parameters = url.slice(start + 1).split("&");
  const shown = parameters.map((parameter) => {
    const [name = "", value] = parameter.split("=", 2);
    return value !== undefined && SECRET_PARAMETER.test(decode(name))
      ? `${name}=${MASK}`
      : parameter;
  });
  return `${url.slice(0, start)}?${shown.join("&")}`;
}

/** Every text that must not be seen because this URL holds it as a password, escaped and not. */
export function secretsOf(url: string): readonly string[] {
  const login = /^[^:/?#]*:\/\/(.*)@/s.exec(url)?.[1] ?? "";
  const secrets: string[] = [];
  if (login.includes(":")) secrets.push(login.slice(login.indexOf(":") + 1));
  const start = url.indexOf("?");
  for (const parameter of start === -1 ? [] : url.slice(start + 1).split("&")) {
    const [name = "", value = ""] = parameter.split("=", 2);
    if (SECRET_PARAMETER.test(decode(name))) secrets.push(value);
  }
  const spellings = secrets.flatMap((secret) => [secret, decode(secret)]);
  return [...new Set(spellings)].filter((secret) => secret !== "");
}

/** Masks secrets in a text that others made, such as a driver's error. */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((masked, secret) => masked.replaceAll(secret, MASK), text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Which addresses a link in a reply may have.

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

// The address and the host to show, or null if the link stays text.
export function safeAddress(href: string): { href: string; host: string } | null {
  let address: URL;
  try {
    address = new URL(href.trim()); // no base: a relative address means nothing in a reply
  } catch {
    return null;
  }
  if (!SCHEMES.has(address.protocol)) return null;
  if (address.username || address.password) return null; // a user name that looks like a host
  const host = address.protocol === "mailto:" ? address.pathname : address.host;
  return { href: address.href, host };
}

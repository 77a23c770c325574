/** What the server tells the page: where the API is, and the publishable key. Never anything secret. */

export interface Config {
  supabaseUrl: string;
  publishableKey: string;
}

export class ConfigError extends Error {}

export async function loadConfig(fetcher: typeof fetch = fetch): Promise<Config> {
  let response: Response;
  try {
    response = await fetcher("/config.json", { cache: "no-store" });
  } catch {
    throw new ConfigError("The server of this page does not answer. Start it with `stackbeat up`, then reload.");
  }
  if (!response.ok) {
    throw new ConfigError(`/config.json answered ${response.status}. Open this page through \`stackbeat up\`.`);
  }
  return parseConfig(await response.json().catch(() => null));
}

export function parseConfig(value: unknown): Config {
  const { supabaseUrl, publishableKey } = (value ?? {}) as Record<string, unknown>;
  if (typeof supabaseUrl !== "string" || !URL.canParse(supabaseUrl)) {
    throw new ConfigError(`/config.json: supabaseUrl is ${JSON.stringify(supabaseUrl)}, which is not a URL.`);
  }
  if (typeof publishableKey !== "string" || publishableKey === "") {
    throw new ConfigError("/config.json: publishableKey is missing.");
  }
  if (publishableKey.startsWith("sb_secret_")) {
    throw new ConfigError("/config.json: publishableKey holds a secret key, which must never reach a browser.");
  }
  return { supabaseUrl, publishableKey };
}

/** The composition root: everything long-lived that the page is made of. */

import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { createContext, use } from "react";
import { Actions } from "./actions";
import type { Config } from "./config";
import type { Database } from "./database.types";
import { FreshnessMeter } from "./freshness";
import { Notices } from "./notices";
import { SessionStore } from "./session";

export interface Services {
  client: SupabaseClient<Database>;
  session: SessionStore;
  meter: FreshnessMeter;
  notices: Notices;
  actions: Actions;
}

export function createServices(config: Config): Services {
  const client = createClient<Database>(config.supabaseUrl, config.publishableKey, {
    auth: { storageKey: "stackbeat-session", detectSessionInUrl: false },
  });
  const notices = new Notices();
  return {
    client,
    notices,
    session: new SessionStore(client),
    meter: new FreshnessMeter(),
    actions: new Actions(client, notices),
  };
}

export const ServicesContext = createContext<Services | null>(null);

export function useServices(): Services {
  const services = use(ServicesContext);
  if (!services) throw new Error("useServices outside of ServicesContext");
  return services;
}

import { useSyncExternalStore } from "react";
import { type Need, lacking } from "./may.ts";
import { type Session, snapshot, subscribe } from "./session.ts";

export const useSession = (): Session => useSyncExternalStore(subscribe, snapshot);

export const useLacking = (need: Need | null): string => lacking(useSession(), need);

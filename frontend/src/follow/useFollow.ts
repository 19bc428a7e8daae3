import { useEffect, useReducer } from "react";
import { type Following, follow, nothingYet, reduce } from "./follow.ts";

export function useFollow(id: string): Following {
  const [following, tell] = useReducer(reduce, nothingYet);
  useEffect(() => {
    const stop = new AbortController();
    follow(id, tell, stop.signal);
    return () => stop.abort();
  }, [id]);
  return following;
}

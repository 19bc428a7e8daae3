import { useCallback, useEffect, useRef, useState } from "react";
import { usePoll } from "../ui/usePoll.ts";
import { type Page, type Row, isFinal, readPage, readRow } from "./api.ts";
import { held, news } from "./rows.ts";

export const ROWS_MS = 2000;
const REST = 6; // A search that had to look far is not made again and again.

/** The page at `search`, kept fresh; while `hold`, what is shown stays in its place. */
export function useRows(search: string, hold: boolean) {
  const [shown, setShown] = useState<Page | null>(null);
  const [taken, setTaken] = useState<{ data: unknown; hold: boolean }>({ data: null, hold });
  const keeping = useRef<Row[]>([]);
  useEffect(() => {
    keeping.current = hold && shown?.key === search ? shown.rows : [];
  }, [hold, shown, search]);

  const read = useCallback(
    async (signal: AbortSignal) => {
      const page = await readPage(search, signal);
      const known = new Set(page.rows.map((row) => row.id));
      const away = keeping.current.filter((row) => !known.has(row.id) && !isFinal(row));
      const found = await Promise.allSettled(away.map((row) => readRow(row.id, signal)));
      return { page, away: found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])) };
    },
    [search],
  );
  const { data, error, at, again } = usePoll(read, ROWS_MS, REST);

  if (data && (data !== taken.data || hold !== taken.hold)) {
    setTaken({ data, hold });
    const { page, away } = data;
    const keep = hold && shown?.key === page.key;
    setShown(keep ? { ...shown, rows: held(shown.rows, [...page.rows, ...away]) } : page);
  }

  const fresh = data && shown && data.page.key === shown.key ? news(shown.rows, data.page.rows) : 0;
  const showAll = () => data && setShown(data.page);
  return { page: shown, loading: shown?.key !== search, fresh, showAll, error, at, again };
}

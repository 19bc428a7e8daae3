import { useCallback, useState } from "react";
import { Choose, ChooseBackend, Search } from "../jobs/Filters.tsx";
import { useListKeys } from "../jobs/useListKeys.ts";
import { useSelection } from "../jobs/useSelection.ts";
import { CREATE, LETTERS, useQuery } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { SEND_AGAIN } from "../session/may.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { Link } from "../ui/Link.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Shortcuts } from "../ui/Shortcuts.tsx";
import { Unreached } from "../ui/Unreached.tsx";
import { usePoll } from "../ui/usePoll.ts";
import { BulkLetters, keyOf } from "./BulkLetters.tsx";
import { LetterTable } from "./LetterTable.tsx";
import { type Letter, type LetterPage, readLetters } from "./api.ts";
import { filtersOf } from "./filters.ts";
import "../jobs/jobs.css";
import "./letters.css";

const EVERY_MS = 3000;
const REST = 6;

/** The page at `search`. While letters are chosen it stays as it is, so that none is acted on unseen. */
function useLetters(search: string, hold: boolean) {
  const read = useCallback((signal: AbortSignal) => readLetters(search, signal), [search]);
  const polled = usePoll(read, EVERY_MS, REST);
  const [page, setPage] = useState<LetterPage | null>(null);
  const { data } = polled;
  if (data && data !== page && !(hold && page?.key === data.key)) setPage(data);
  return { ...polled, page, loading: page?.key !== search };
}

function Nothing({ query, page }: { query: URLSearchParams; page: LetterPage }) {
  const stretch = query.get("cursor") ? "next" : "newest";
  if (page.next) return <p className="notice">None among the {stretch}. Older ones may match.</p>;
  if (Object.keys(filtersOf(query)).length > 0) return <p className="notice">No dead letter matches.</p>;
  return (
    <div className="nothing">
      <p>No dead letters: nothing has failed for good</p>
      <p className="note">
        The recipe “Dead letter” of a <Link to={CREATE}>new booking</Link> makes one.
      </p>
    </div>
  );
}

/** Of the types that are there, and the one that is asked for. */
function ChooseType({ query, letters }: { query: URLSearchParams; letters: Letter[] }) {
  const types = new Set(["booking", query.get("type") ?? "", ...letters.map((letter) => letter.type)]);
  return (
    <Choose name="type" label="Type" query={query} path={LETTERS}>
      <option value="">any</option>
      {[...types].filter(Boolean).map((type) => (
        <option key={type}>{type}</option>
      ))}
    </Choose>
  );
}

export function Letters() {
  const query = useQuery();
  const [picking, setPicking] = useState(false);
  const { page, loading, error, at, again } = useLetters(query.toString(), picking);
  const letters = page?.letters ?? [];
  const keys = letters.map(keyOf);
  const selection = useSelection(keys);
  if (picking !== selection.chosen.length > 0) setPicking(selection.chosen.length > 0);
  const { list, search, shortcuts } = useListKeys(keys, selection);

  return (
    <div className="page">
      <div className="page-head">
        <h1>Dead letters</h1>
        <Freshness at={at} error={error} everyMs={EVERY_MS} />
      </div>
      <div className="filters card" role="search" aria-label="Filters">
        <Search query={query} path={LETTERS} label="Find" hint="id, user, hotel, reason" field={search} />
        <ChooseType query={query} letters={letters} />
        <ChooseBackend query={query} path={LETTERS} />
      </div>
      <section className={`card list ${error ? "old" : loading ? "dim" : ""}`} aria-label="Letters" aria-busy={loading}>
        <Allowed need={SEND_AGAIN}>
          <div className={letters.length > 0 ? undefined : "idle"}>
            <BulkLetters letters={letters} selection={selection} query={query} more={page?.next !== null} done={again} />
          </div>
        </Allowed>
        {page && letters.length === 0 && <Nothing page={page} query={query} />}
        {letters.length > 0 && <LetterTable letters={letters} selection={selection} list={list} />}
        {!page && (error ? <Unreached error={error} /> : <div className="placeholder tall" />)}
        <Pager path={LETTERS} query={query} next={page?.next ?? null} more={letters.length > 0 ? "Older" : "Look further"} />
      </section>
      <Shortcuts {...shortcuts} />
    </div>
  );
}

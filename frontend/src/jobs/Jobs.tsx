import { useState } from "react";
import { CREATE, JOBS, useQuery } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK } from "../session/may.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { Link } from "../ui/Link.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Shortcuts } from "../ui/Shortcuts.tsx";
import { Unreached } from "../ui/Unreached.tsx";
import { Bulk } from "./Bulk.tsx";
import { Choose, ChooseBackend, Search } from "./Filters.tsx";
import { JobTable } from "./JobTable.tsx";
import { type Page, STATES } from "./api.ts";
import { ROWS_MS, useRows } from "./useRows.ts";
import { useListKeys } from "./useListKeys.ts";
import { useSelection } from "./useSelection.ts";
import "./jobs.css";

function Nothing({ page, query }: { page: Page; query: URLSearchParams }) {
  const filtered = ["q", "state", "backend"].some((name) => query.get(name));
  const stretch = query.get("cursor") ? "next" : "newest";
  if (page.next) return <p className="notice">None among the {stretch} {page.looked},000 or so. Older ones may match.</p>;
  if (query.get("cursor")) return <p className="notice">No older bookings.</p>;
  if (filtered) return <p className="notice">No booking matches. A user or hotel must be written out in full.</p>;
  return (
    <div className="nothing">
      <p>No bookings yet</p>
      <Allowed need={BOOK}>
        <Link to={CREATE} className="button primary">
          Make the first one
        </Link>
      </Allowed>
    </div>
  );
}

function StateFilter({ query }: { query: URLSearchParams }) {
  return (
    <Choose name="state" label="State" query={query} path={JOBS}>
      <option value="">any</option>
      {Object.entries(STATES).map(([group, states]) => (
        <optgroup key={group} label={group}>
          {states.map((state) => (
            <option key={state}>{state}</option>
          ))}
        </optgroup>
      ))}
    </Choose>
  );
}

export function Jobs() {
  const query = useQuery();
  const [hold, setHold] = useState(false);
  const [picking, setPicking] = useState(false);
  const { page, loading, fresh, showAll, error, at, again } = useRows(query.toString(), hold || picking);
  const ids = page?.rows.map((row) => row.id) ?? [];
  const selection = useSelection(ids);
  if (picking !== selection.chosen.length > 0) setPicking(selection.chosen.length > 0);
  const { list, search, shortcuts } = useListKeys(ids, selection);

  return (
    <div className="page">
      <div className="page-head">
        <h1>Jobs</h1>
        <Freshness at={at} error={error} everyMs={ROWS_MS} />
      </div>
      <div className="filters card" role="search" aria-label="Filters">
        <Search query={query} path={JOBS} label="Find" hint="id, user or hotel" field={search} />
        <StateFilter query={query} />
        <ChooseBackend query={query} path={JOBS} />
      </div>
      <section className={`card list ${error ? "old" : loading ? "dim" : ""}`} aria-label="Bookings" aria-busy={loading}>
        <div className={page?.rows.length ? "list-head" : "list-head idle"}>
          <Bulk rows={page?.rows ?? []} selection={selection} query={query} more={page?.next !== null} done={again} />
          <button type="button" className={fresh > 0 ? "plain" : "plain away"} aria-disabled={fresh === 0} onClick={showAll}>
            {fresh} newer: show
          </button>
        </div>
        {page && page.rows.length === 0 && <Nothing page={page} query={query} />}
        {page && page.rows.length > 0 && <JobTable rows={page.rows} selection={selection} list={list} hold={setHold} />}
        {!page && (error ? <Unreached error={error} /> : <div className="placeholder tall" />)}
        <Pager query={query} next={page?.next ?? null} more={page && page.rows.length === 0 ? "Look further" : "Older"} />
      </section>
      <Shortcuts {...shortcuts} />
    </div>
  );
}

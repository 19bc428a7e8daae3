import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { Brokers } from "./brokers/Brokers.tsx";
import { CreateBooking } from "./create/CreateBooking.tsx";
import { FollowBooking } from "./follow/FollowBooking.tsx";
import { Jobs } from "./jobs/Jobs.tsx";
import { LetterPage } from "./letters/LetterPage.tsx";
import { Letters } from "./letters/Letters.tsx";
import { StatusStrip } from "./live/StatusStrip.tsx";
import { Overview } from "./overview/Overview.tsx";
import {
  BROKERS,
  CREATE,
  JOBS,
  LETTERS,
  OVERVIEW,
  type Route,
  WORKERS,
  followPath,
  navigate,
  parseRoute,
  usePath,
} from "./route.ts";
import { NotForThisKey } from "./session/Allowed.tsx";
import { KeyButton, KeyDialog } from "./session/KeyDialog.tsx";
import { lacking, needOf } from "./session/may.ts";
import { useSession } from "./session/useSession.ts";
import { ErrorBoundary } from "./ui/ErrorBoundary.tsx";
import { Link } from "./ui/Link.tsx";
import { Workers } from "./workers/Workers.tsx";

function title(route: Route): string {
  switch (route.page) {
    case "overview":
      return "Overview";
    case "jobs":
      return "Jobs";
    case "letters":
      return "Dead letters";
    case "letter":
      return `Dead letter ${route.id.slice(0, 8)}`;
    case "workers":
      return "Workers";
    case "backends":
      return "Backends";
    case "create":
      return "New booking";
    case "follow":
      return `Booking ${route.id.slice(0, 8)}`;
    case "unknown":
      return "No such page";
  }
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "overview":
      return <Overview />;
    case "jobs":
      return <Jobs />;
    case "letters":
      return <Letters />;
    case "letter":
      return <LetterPage key={`${route.backend} ${route.id}`} backend={route.backend} id={route.id} />;
    case "workers":
      return <Workers />;
    case "backends":
      return <Brokers />;
    case "create":
      return <CreateBooking />;
    case "follow":
      return <FollowBooking key={route.id} id={route.id} />;
    case "unknown":
      return (
        <section className="page">
          <h1>No such page</h1>
          <p>
            Nothing is at <code>{route.path}</code>. <Link to={OVERVIEW}>Back to the overview</Link>
          </p>
        </section>
      );
  }
}

function FindBooking() {
  const [id, setId] = useState("");
  const field = useId();
  const open = (event: FormEvent) => {
    event.preventDefault();
    if (!id.trim()) return;
    navigate(followPath(id.trim()));
    setId("");
  };
  return (
    <form className="find" role="search" aria-label="Follow a booking" onSubmit={open}>
      <label className="hidden" htmlFor={field}>
        Booking id
      </label>
      <input
        id={field}
        value={id}
        onChange={(event) => setId(event.target.value)}
        placeholder="Booking id"
        autoComplete="off"
        spellCheck={false}
      />
      <button type="submit">Follow</button>
    </form>
  );
}

/** Each with the pages that belong to it, its own first. */
const PAGES: readonly (readonly [to: string, name: string, pages: readonly [Route["page"], ...Route["page"][]]])[] = [
  [OVERVIEW, "Overview", ["overview"]],
  [JOBS, "Jobs", ["jobs", "follow"]],
  [LETTERS, "Dead letters", ["letters", "letter"]],
  [WORKERS, "Workers", ["workers"]],
  [BROKERS, "Backends", ["backends"]],
  [CREATE, "New booking", ["create"]],
];

/** Until it is known whose key is in use nothing is asked that it might not have. */
const Asking = () => (
  <div className="strip-status">
    <p className="fresh">Asking how things are…</p>
  </div>
);

const Soon = ({ name }: { name: string }) => (
  <div className="page" aria-busy="true">
    <h1>{name}</h1>
    <div className="placeholder tall" />
  </div>
);

export function App() {
  const path = usePath();
  const route = parseRoute(path);
  const name = title(route);
  const session = useSession();
  const need = needOf(route.page);
  const why = lacking(session, need);
  const known = session.access !== "unknown";
  const shownPages = PAGES.filter(([, , [page]]) => !lacking(session, needOf(page)));
  const home = shownPages[0]?.[0] ?? OVERVIEW;
  // Who comes without a wish for a page gets one that the key opens.
  const elsewhere = why !== "" && route.page === "overview" && home !== OVERVIEW;
  const main = useRef<HTMLElement>(null);
  const shown = useRef(path);

  useEffect(() => {
    if (elsewhere) navigate(home, { replace: true });
  }, [elsewhere, home]);

  useEffect(() => {
    document.title = `${name} · booking-queue`;
    if (shown.current === path) return;
    shown.current = path;
    main.current?.focus({ preventScroll: true });
  }, [path, name]);

  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link to={home} className="brand">
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>booking-queue</span>
        </Link>
        <nav aria-label="Pages">
          {shownPages.map(([to, label, pages]) => (
            <Link key={to} to={to} current={pages.includes(route.page)}>
              {label}
            </Link>
          ))}
        </nav>
        <FindBooking />
        <KeyButton />
      </header>
      {known ? <StatusStrip /> : <Asking />}
      <main id="main" ref={main} tabIndex={-1} aria-label={name}>
        <ErrorBoundary key={`${path} ${session.whose}`}>
          {!known && need && <Soon name={name} />}
          {why && !elsewhere && <NotForThisKey name={name} need={need} why={why} />}
          {(known || !need) && !why && <Page route={route} />}
        </ErrorBoundary>
      </main>
      <KeyDialog />
    </>
  );
}

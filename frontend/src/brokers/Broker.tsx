import type { ReactNode } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import type { Lane } from "../live/board.ts";
import { Allowed } from "../session/Allowed.tsx";
import { CHANGE_ALL } from "../session/may.ts";
import { useSession } from "../session/useSession.ts";
import { Command, curl } from "../ui/Copy.tsx";
import { count, words } from "../ui/format.ts";
import { PauseButton } from "./PauseButton.tsx";
import { commandsOf } from "./commands.ts";

export type Given = { lane: Lane | undefined; paused: boolean | null; changed: () => void };

type Props = Given & {
  backend: Backend;
  about: string;
  stale: string;
  broker: string;
  /** What its own view knows beside the lane's figures. */
  more?: Record<string, string | number | null>;
  children: ReactNode;
};

const NONE = {};

function Figures({ lane, more }: { lane: Lane | undefined; more: NonNullable<Props["more"]> }) {
  const figures = [...Object.entries(lane?.figures ?? {}), ...Object.entries(more).filter(([, value]) => value !== "")];
  if (figures.length === 0) return <p className="note broker-figures">No figures yet</p>;
  return (
    <dl className="facts-list broker-figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>{typeof value === "number" ? count(value) : <code>{value ?? "–"}</code>}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The broker's own tools, as they are run where the suite runs. */
function AskIt({ backend, broker }: { backend: Backend; broker: string }) {
  const { access } = useSession();
  const { commands, note } = commandsOf(backend, broker, curl("/monitoring/queue/kafka", access));
  return (
    <details className="commands">
      <summary>Ask it yourself</summary>
      <ul>
        {commands.map(([does, text]) => (
          <li key={does}>
            <p className="note">{does}</p>
            <Command text={text} about={does} />
          </li>
        ))}
      </ul>
      {note && <p className="note">{note}</p>}
    </details>
  );
}

/** What one broker holds, in its own words, and how to ask it oneself. */
export function Broker({ backend, about, lane, paused, changed, stale, broker, more = NONE, children }: Props) {
  const silent = stale || lane?.stale;
  return (
    <section className={`card broker lane-${backend}`} aria-labelledby={`broker-${backend}`}>
      <div className="section-head">
        <h2 id={`broker-${backend}`}>{BACKEND_NAMES[backend]}</h2>
        <Allowed need={CHANGE_ALL}>
          <PauseButton backend={backend} paused={paused} done={changed} />
        </Allowed>
      </div>
      <p className={silent ? "silent" : "note"}>{silent || about}</p>
      <Figures lane={lane} more={more} />
      <div className={`broker-tables ${stale ? "old" : ""}`}>{children}</div>
      <AskIt backend={backend} broker={broker} />
    </section>
  );
}

type TableProps = {
  caption: string;
  head: readonly string[];
  empty: string;
  rows: { key: string; cells: ReactNode[] }[];
  numbers?: readonly string[];
};

/** The first cell of a row names it; `numbers` are the columns that hold some. */
export function Table({ caption, head, empty, rows, numbers = [] }: TableProps) {
  const look = (name: string | undefined) => (name && numbers.includes(name) ? "right" : undefined);
  if (rows.length === 0) {
    return (
      <div className="broker-table">
        <h3>{caption}</h3>
        <p className="note">{empty}</p>
      </div>
    );
  }
  return (
    <div className="broker-table" role="region" aria-label={caption} tabIndex={0}>
      <table className="rows">
        <caption>{caption}</caption>
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name} scope="col" className={look(name)}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells: [first, ...rest] }) => (
            <tr key={key}>
              <th scope="row">{first}</th>
              {rest.map((cell, place) => (
                <td key={head[place + 1]} className={look(head[place + 1])}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

import type { ReactNode } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import type { Lane } from "../live/board.ts";
import { Command } from "../ui/Copy.tsx";
import { count, words } from "../ui/format.ts";
import { PauseButton } from "./PauseButton.tsx";

export type Given = { lane: Lane | undefined; paused: boolean | null; changed: () => void };

type Props = Given & {
  backend: Backend;
  about: string;
  stale: string;
  commands: readonly (readonly [does: string, text: string])[];
  children: ReactNode;
};

function Figures({ lane }: { lane: Lane | undefined }) {
  const figures = Object.entries(lane?.figures ?? {});
  if (figures.length === 0) return <p className="note broker-figures">No figures yet</p>;
  return (
    <dl className="facts-list broker-figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>{typeof value === "number" ? count(value) : <code>{value}</code>}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What one broker holds, in its own words, and how to ask it oneself. */
export function Broker({ backend, about, lane, paused, changed, stale, commands, children }: Props) {
  return (
    <section className={`card broker lane-${backend}`} aria-labelledby={`broker-${backend}`}>
      <div className="section-head">
        <h2 id={`broker-${backend}`}>{BACKEND_NAMES[backend]}</h2>
        <PauseButton backend={backend} paused={paused} done={changed} />
      </div>
      <p className="note">{about}</p>
      <p className="silent">{stale || lane?.stale}</p>
      <Figures lane={lane} />
      <div className={`broker-tables ${stale ? "old" : ""}`}>{children}</div>
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
      </details>
    </section>
  );
}

type TableProps = { caption: string; head: readonly string[]; empty: string; rows: { key: string; cells: ReactNode[] }[] };

/** The first cell of a row names it. */
export function Table({ caption, head, empty, rows }: TableProps) {
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
              <th key={name} scope="col">
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
                <td key={head[place + 1]}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

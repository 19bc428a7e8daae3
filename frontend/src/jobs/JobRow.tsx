import { BACKENDS, BACKEND_NAMES, SHORT_NAMES } from "../api.ts";
import { followPath } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { Pill, markOf, toneOf } from "../ui/Pill.tsx";
import { JobId, When } from "../ui/Short.tsx";
import type { Row, RowLeg } from "./api.ts";

function legWords(leg: RowLeg): string {
  const how = leg.state === "active" ? `active, ${leg.progress} %` : leg.state;
  return leg.error ? `${how}: ${leg.error}` : how;
}

/** Its lanes, each with its mark; what they mean stands in words for whoever does not see it. */
function Legs({ row }: { row: Row }) {
  return (
    <ul className="legs">
      {BACKENDS.map((backend) => {
        const leg = row.legs[backend];
        if (!leg) return <li key={backend} className="leg none" aria-hidden="true" />;
        return (
          <li key={backend} className={`leg lane-${backend} ${toneOf(leg.state)}`} title={`${BACKEND_NAMES[backend]}: ${legWords(leg)}`}>
            <span className="leg-name" aria-hidden="true">
              {SHORT_NAMES[backend]}
            </span>
            <span aria-hidden="true">{markOf(leg.state)}</span>
            <span className="hidden">
              {BACKEND_NAMES[backend]} {legWords(leg)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

type Props = { row: Row; chosen: boolean; choose: (id: string, on: boolean) => void; now: number };

export function JobRow({ row, chosen, choose, now }: Props) {
  const short = row.id.slice(0, 8);
  return (
    <tr className={chosen ? "chosen" : undefined}>
      <td className="tick">
        <label>
          <input type="checkbox" checked={chosen} onChange={(event) => choose(row.id, event.target.checked)} />
          <span className="hidden">Select booking {short}</span>
        </label>
      </td>
      <th scope="row">
        <Link to={followPath(row.id)} className="row-link">
          <JobId id={row.id} />
        </Link>
        <span className="who">
          {row.user} · {row.hotel}
        </span>
      </th>
      <td>
        <Pill state={row.state} />
      </td>
      <td className="lanes-cell">
        <Legs row={row} />
      </td>
      <td className="aux">{row.priority}</td>
      <td className="aux when">
        <When at={row.createdAt} now={now} />
      </td>
    </tr>
  );
}

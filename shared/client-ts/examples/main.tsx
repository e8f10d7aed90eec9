/** Shows the page that the address names. */

import { type ComponentType, StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { fetchSettings } from "./backend.js";
import { Cnc } from "./cnc.js";
import { Documents } from "./documents.js";
import { Navigation, PAGES, type PageName } from "./frame.js";
import { Ops } from "./ops.js";
import { Shelter } from "./shelter.js";
import { Uploads } from "./uploads.js";

const pages: Record<PageName, ComponentType<{ readonly gateway: string }>> = {
  ops: Ops,
  cnc: Cnc,
  documents: Documents,
  shelter: Shelter,
  uploads: Uploads,
};

function Overview({ served }: { readonly served: readonly string[] }) {
  return (
    <>
      <header>
        <Navigation />
      </header>
      <main id="main">
        <div className="head">
          <div>
            <h1>Five live pages</h1>
            <p>
              Each has a button that publishes an event, and shows what arrives of it. Open one in two browsers, go offline in one,
              publish in the other, and go online again.
            </p>
          </div>
        </div>
        <ul className="cards">
          {Object.entries(PAGES).map(([name, { title, about }]) => (
            <li key={name}>
              {served.includes(name) ? <a href={`/examples/${name}/`}>{title}</a> : <strong>{title} (not served here)</strong>}
              <p>{about}</p>
              <code>shared/client-ts/examples/{name}.tsx</code>
            </li>
          ))}
        </ul>
      </main>
    </>
  );
}

const root = createRoot(document.getElementById("root") ?? document.body);
const name = location.pathname.split("/")[2] ?? "";
fetchSettings().then(
  ({ gateway, pages: served }) => {
    const Shown = pages[name as PageName] as (typeof pages)[PageName] | undefined;
    root.render(<StrictMode>{Shown ? <Shown gateway={gateway} /> : <Overview served={served} />}</StrictMode>);
  },
  (error: unknown) => {
    root.render(<p className="empty">{String(error)}</p>);
  },
);

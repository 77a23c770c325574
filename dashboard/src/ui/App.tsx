import { useState } from "react";
import { useRoute } from "../router";
import { type Services, ServicesContext, useServices } from "../services";
import { FleetPage } from "./FleetPage";
import { FreshnessBar } from "./FreshnessBar";
import { useCell, useViewer } from "./hooks";
import { Icon } from "./Icon";
import { Link } from "./parts";
import { SignIn } from "./SignIn";
import { StackPage } from "./StackPage";
import { Notice } from "./States";

export function App({ services }: { services: Services }) {
  return (
    <ServicesContext value={services}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <TopBar />
      <main id="main" className="main" tabIndex={-1}>
        <CurrentPage />
      </main>
      <NoticeList />
      <FreshnessBar />
    </ServicesContext>
  );
}

function CurrentPage() {
  const { page } = useRoute();
  switch (page.name) {
    case "fleet":
      return <FleetPage />;
    case "stack":
      return <StackPage key={page.id} id={page.id} />;
    case "unknown":
      return (
        <Notice title="There is nothing here" action={<Link to="/" className="button button-primary">Go to the fleet</Link>}>
          No page has the address {page.path}.
        </Notice>
      );
  }
}

function TopBar() {
  return (
    <header className="topbar">
      <Link to="/" className="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true" className="brand-mark">
          <rect width="32" height="32" rx="8" />
          <path d="M5 17h5l3-8 5 14 3.5-9 1.5 3h4" />
        </svg>
        Stackbeat
      </Link>
      <Account />
    </header>
  );
}

function Account() {
  const { session } = useServices();
  const viewer = useViewer();
  const [signingIn, setSigningIn] = useState(false);
  if (viewer.role === "visitor") {
    return (
      <div className="account">
        <span className="account-hint muted">Watching as a visitor</span>
        <button type="button" className="button" data-testid="sign-in" onClick={() => setSigningIn(true)}>
          Sign in
        </button>
        {signingIn && <SignIn close={() => setSigningIn(false)} />}
      </div>
    );
  }
  const rank = viewer.role === "member" ? "no operator" : viewer.readOnly ? "read-only operator" : "operator";
  return (
    <div className="account" data-testid="account" data-role={viewer.role}>
      <span className="account-name">
        <span className="account-email">{viewer.email}</span> <span className="rank">{rank}</span>
      </span>
      <button type="button" className="button" data-testid="sign-out" onClick={() => void session.signOut()}>
        Sign out
      </button>
    </div>
  );
}

function NoticeList() {
  const { notices } = useServices();
  const list = useCell(notices.cell);
  return (
    <div className="toasts" aria-live="polite" data-testid="notices">
      {list.map((notice) => (
        <div key={notice.id} className={`toast toast-${notice.kind}`} role={notice.kind === "refused" ? "alert" : "status"}>
          <span>{notice.text}</span>
          <button type="button" className="button button-icon" aria-label="Dismiss" onClick={() => notices.dismiss(notice.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}

import "@fontsource-variable/inter/wght.css";
import "./styles.css";
import { createRoot } from "react-dom/client";
import { loadConfig } from "./config";
import { createServices } from "./services";
import { App } from "./ui/App";
import { BootFailure } from "./ui/States";

const root = createRoot(document.getElementById("root") as HTMLElement);

loadConfig()
  .then((config) => root.render(<App services={createServices(config)} />))
  .catch((error: Error) => root.render(<BootFailure reason={error.message} />));

/** Errors of the server, in words for the person who caused them. */

export class Refusal extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

interface ServerError {
  code?: string;
  message: string;
  hint?: string | null;
}

export function refusal(error: ServerError): Refusal {
  const code = error.code ?? "";
  return new Refusal(inWords(code, error.message), code);
}

function inWords(code: string, message: string): string {
  switch (code) {
    case "42501":
      return "Your sign-in may not do this. Sign in as an operator who may write.";
    case "PGRST301":
    case "PGRST303":
      return "Your sign-in has expired. Sign in again.";
    case "":
      return /fetch|network/i.test(message)
        ? "The server cannot be reached. Nothing was changed; check that it runs, then try again."
        : sentence(message);
    default:
      return sentence(message);
  }
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "The server gave no reason.";
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** The rows of an answer, or the refusal thrown. */
export async function rowsOf<Row>(
  answer: PromiseLike<{ data: unknown; error: ServerError | null }>,
): Promise<Row[]> {
  const { data, error } = await answer;
  if (error) throw refusal(error);
  return (data ?? []) as Row[];
}

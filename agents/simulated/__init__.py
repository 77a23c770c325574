"""The simulated model: answers like a careful team would, deterministically, out of the question's context alone.

It is a stand-in where no key is set, labelled as such wherever its words appear, and honest: the pages it builds work,
its reviews are computed from the page, its answers repeat facts of the context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agents.simulated import builder, communicator, memory, planner, reviewer

# The one instruction it follows, so that a prompt of one's own can be tried without a key.
SIGNATURE = re.compile(r'\bsign your thinking with ["“]([^"“”\n]{1,60})["”]', re.IGNORECASE)

Context = Mapping[str, Any]

ROLES: Mapping[str, Callable[[Context, str], dict[str, Any]]] = {
    "planner": planner.reply,
    "builder": builder.reply,
    "communicator": communicator.reply,
    "reviewer": reviewer.reply,
}


def simulate(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
    """A reply that fits the role's output model.

    ``role`` is a role's name or begins with it, as a schema's name does; ``context`` is the json block of the question;
    ``seed`` varies the wording only. Of the context's ``instructions`` it follows one: to sign its thinking. Raises
    KeyError for a role the simulated model does not know.
    """
    name = str(context.get("role") or next((known for known in ROLES if role.lower().startswith(known)), role))
    if name not in ROLES:
        raise KeyError(f"the simulated model knows no role {role!r}; it plays {', '.join(ROLES)}")
    reply = memory.reply(context) if context.get("task") == "memory" else ROLES[name](context, seed)
    wanted = SIGNATURE.search(str(context.get("instructions") or ""))
    return {**reply, "thinking": f"{reply['thinking']} {wanted[1]}"} if wanted else reply
